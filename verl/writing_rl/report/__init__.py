"""What became of a run, as one page: what `writing-rl report` does.

`collect` reads what a run leaves behind into a `run_data.Run`, each piece by a module of its own; `headline`,
`tables` and the `charts_…` make of it what there is to see, and `page` lays it out.
"""
