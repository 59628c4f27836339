"""Put on PYTHONPATH by a test: writes down what the actor receives, to the file in RECORD_ACTOR."""

import json
import os

import wrapt

FIELDS = ["advantages", "response_mask", "rm_scores", "values"]


def record(update, trainer, arguments, keywords):
    import transfer_queue as tq

    batch = arguments[0]
    fields = FIELDS if trainer.use_critic else FIELDS[:-1]
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
    rollouts = {
        key: {field: data[field][number].tolist() for field in fields}
        for number, key in enumerate(batch.keys)
    }
    with open(os.environ["RECORD_ACTOR"], "a", encoding="utf-8") as file:
        file.write(json.dumps({"step": trainer.global_steps, "rollouts": rollouts}) + "\n")
    return update(*arguments, **keywords)


@wrapt.when_imported("writing_rl.trainer.trainer")
def install(module):
    module.WritingTrainer._update_actor = wrapt.FunctionWrapper(module.WritingTrainer._update_actor, record)
