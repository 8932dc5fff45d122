"""Pre-training of the embedded HuBERT with fairseq: clusters of MFCC first, then of its own layer 6; then phones.

Run by `snakemake pretrain`, never by a reproduction: the weights are part of the package. fairseq lives
in an environment of its own (envs/fairseq.txt), which the first rule makes.
"""

from daisy.workflow.pretraining import ITERATIONS, Pretraining

pretraining = Pretraining(flow.context)


rule pretrain:
    input:
        cache_path("pretrain/hubert_tiny.safetensors"),


rule fairseq_environment:
    input:
        flow.context.resource("envs/fairseq.txt"),
    output:
        touch(f"{pretraining.fairseq}/.ready"),
    log:
        cache_path("logs/fairseq_environment.log"),
    conda:
        "../envs/daisy.yaml"
    params:
        folder=lambda wildcards, output: os.path.dirname(output[0]),
    shell:
        "(python -m venv {params.folder} && {params.folder}/bin/pip install --requirement {input}) > {log} 2>&1"


rule pretrain_dump:
    input:
        manifest=flow.corpora.manifest("speech", "train"),
        checkpoint=lambda wildcards: pretraining.previous(wildcards.iteration),
    output:
        cache_path("pretrain/{iteration}/features/train_0_1.npy"),
    log:
        cache_path("logs/pretrain_dump-{iteration}.log"),
    conda:
        "../envs/daisy.yaml"
    threads: 2
    params:
        settings=lambda wildcards: pretraining.dump(wildcards.iteration),
        checkpoint=option("checkpoint"),
        out=lambda wildcards: f"{pretraining.folder}/{wildcards.iteration}/features",
    shell:
        stage("targets.dump", "--manifest {input.manifest} {params.checkpoint} --out {params.out} --threads {threads}")


rule pretrain_kmeans:
    input:
        cache_path("pretrain/{iteration}/features/train_0_1.npy"),
    output:
        cache_path("pretrain/{iteration}/kmeans.npz"),
    log:
        cache_path("logs/pretrain_kmeans-{iteration}.log"),
    conda:
        "../envs/daisy.yaml"
    threads: 2
    params:
        settings=lambda wildcards: pretraining.kmeans(wildcards.iteration),
    shell:
        stage("targets.kmeans", "--shards {input} --out {output}")


rule pretrain_labels:
    input:
        manifest=lambda wildcards: flow.corpora.manifest("speech", wildcards.part),
        centroids=cache_path("pretrain/{iteration}/kmeans.npz"),
        checkpoint=lambda wildcards: pretraining.previous(wildcards.iteration),
    output:
        cache_path("pretrain/{iteration}/labels/{part}.km"),
    log:
        cache_path("logs/pretrain_labels-{iteration}-{part}.log"),
    conda:
        "../envs/daisy.yaml"
    threads: 2
    params:
        settings=lambda wildcards: pretraining.labels(wildcards.iteration),
        checkpoint=option("checkpoint"),
    shell:
        stage(
            "targets.label",
            "--manifest {input.manifest} {params.checkpoint} --centroids {input.centroids} "
            "--out {output} --threads {threads}",
        )


rule pretrain_targets:
    input:
        manifest=lambda wildcards: flow.corpora.manifest("speech", wildcards.part),
        labels=cache_path("pretrain/{iteration}/labels/{part}.km"),
    output:
        labels=cache_path("pretrain/{iteration}/data/{part}.km"),
        manifest=cache_path("pretrain/{iteration}/data/{part}.tsv"),
        dictionary=cache_path("pretrain/{iteration}/data/dict.{part}.txt"),
    log:
        cache_path("logs/pretrain_targets-{iteration}-{part}.log"),
    conda:
        "../envs/daisy.yaml"
    params:
        settings=lambda wildcards: pretraining.targets(wildcards.iteration),
    shell:
        "cp {input.manifest} {output.manifest} && "
        + stage(
            "targets.join",
            "--manifest {input.manifest} --labels {input.labels} --out {output.labels} "
            "--dictionary {output.dictionary}",
        )


rule pretrain_fairseq:
    input:
        environment=f"{pretraining.fairseq}/.ready",
        script=flow.context.resource("rules/scripts/fairseq_train.py"),
        config=flow.context.resource("config/pretrain/hubert_tiny.yaml"),
        data=expand(
            cache_path("pretrain/{{iteration}}/data/{part}.{ending}"), part=("train", "dev"), ending=("tsv", "km")
        ),
        dictionary=cache_path("pretrain/{iteration}/data/dict.train.txt"),
    output:
        checkpoint=cache_path("pretrain/{iteration}/checkpoints/checkpoint_last.pt"),
        log=cache_path("pretrain/{iteration}/fairseq.log"),
    log:
        cache_path("logs/pretrain_fairseq-{iteration}.log"),
    conda:
        "../envs/daisy.yaml"
    threads: 2
    params:
        fairseq=lambda wildcards, input: os.path.dirname(input.environment),
        data=lambda wildcards: os.path.abspath(f"{pretraining.folder}/{wildcards.iteration}/data"),
        checkpoints=lambda wildcards: os.path.abspath(f"{pretraining.folder}/{wildcards.iteration}/checkpoints"),
        iteration=lambda wildcards: ITERATIONS[wildcards.iteration],
    shell:
        "cp {input.dictionary} {params.data}/dict.km.txt && "
        "OMP_NUM_THREADS={threads} {params.fairseq}/bin/python {input.script} "
        "--config-dir $(realpath $(dirname {input.config})) --config-name hubert_tiny "
        "task.data={params.data} task.label_dir={params.data} dataset.valid_subset=dev "
        "task.label_rate={params.iteration.rate} model.label_rate={params.iteration.rate} "
        "optimization.max_update={params.iteration.updates} lr_scheduler.warmup_updates={params.iteration.warmup} "
        "checkpoint.save_dir={params.checkpoints} hydra.run.dir={params.checkpoints}/hydra 2>&1 | tee {output.log} {log}"


rule pretrained_model:
    input:
        checkpoint=cache_path("pretrain/2/checkpoints/checkpoint_last.pt"),
        log=cache_path("pretrain/2/fairseq.log"),
        manifest=flow.corpora.manifest("speech", "train"),
    output:
        checkpoint=cache_path("pretrain/hubert_tiny.safetensors"),
        card=cache_path("pretrain/hubert_tiny.md"),
    log:
        cache_path("logs/pretrained_model.log"),
    conda:
        "../envs/daisy.yaml"
    params:
        settings=pretraining.card,
    shell:
        stage(
            "pretraining.export",
            "--checkpoint {input.checkpoint} --log {input.log} --manifest {input.manifest} "
            "--out {output.checkpoint} --card {output.card}",
        )


rule pretrain_phones:
    input:
        recipe=flow.context.resource("config/pretrain/phones.yaml"),
        start=cache_path("pretrain/hubert_tiny.safetensors"),
        recordings=flow.corpora.manifest("speech", "train"),
        noise=lambda wildcards: flow.corpora.table("noise"),
        probes=lambda wildcards: [
            flow.corpora.manifest(task, part) for task in ("asr", "sid") for part in ("train", "dev")
        ],
    output:
        checkpoint=cache_path("pretrain/phones/hubert.safetensors"),
        card=cache_path("pretrain/phones/hubert.md"),
    log:
        cache_path("logs/pretrain_phones.log"),
    conda:
        "../envs/daisy.yaml"
    threads: 2
    params:
        folder=lambda wildcards, output: os.path.dirname(output[0]),
        debian=cache_path("debian"),
        probes=lambda wildcards, input: "--probe asr {} {} --probe sid {} {}".format(*input.probes),
    shell:
        "nice -n 19 python -m daisy.pretraining.recipe --config {input.recipe} --folder {params.folder} "
        "--cache {params.debian} --start {input.start} --recordings {input.recordings} --noise {input.noise} "
        "{params.probes} --threads {threads} 2>&1 | tee {log}"
