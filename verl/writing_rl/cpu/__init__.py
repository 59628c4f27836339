"""verl 0.9.1 and vLLM 0.28.0 on a machine without a GPU.

`platform` and `engines` use verl's registries. The rest are the patches of third-party code, one module
each, with its reason and its version; `expect` in `compat` makes each of them fail loudly when a newer
version no longer looks like the one it was written for.
"""
