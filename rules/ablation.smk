"""Target ablation: what the branches are trained on, and what it does to entropies, exits and results.

Run by `snakemake ablation`. Every variant is the pipeline's own rules with other targets; the frozen HuBERT's
states are shared, and so are the models of `full`, which no branch touches.
"""

ABLATION = RUN + "/ablation"
ABLATED = config["ablation"]


def target_variants():
    """Each layer with the run's number of clusters, each number with the run's layer, and the head."""
    own = config["targets"]
    pairs = [(layer, own["clusters"]) for layer in ABLATED["layers"]]
    pairs += [(own["layer"], clusters) for clusters in ABLATED["clusters"]]
    variants = {
        f"layer{layer}-c{clusters}": {"kind": "kmeans", "layer": layer, "clusters": clusters}
        for layer, clusters in dict.fromkeys(pairs)
    }
    return variants | ({"head": {"kind": "head"}} if ABLATED["head"] else {})


VARIANTS = target_variants()


def variant(wildcards):
    """The targets of a variant."""
    return VARIANTS[wildcards.variant]


def variant_shards(wildcards):
    own = VARIANTS[f"layer{wildcards.layer}-c{wildcards.clusters}"]
    return expand(ABLATION + "/shards/layer{layer}/train_{rank}_{nshard}.npy", **own, rank=range(SHARDS), nshard=SHARDS)


wildcard_constraints:
    variant="|".join(VARIANTS),
    layer=r"\d+",
    clusters=r"\d+",


rule ablation:
    input:
        RUN + "/tables/ablation.csv",
        expand(RUN + "/figures/ablation.{ending}", ending=("png", "svg")),


use rule dump_features as ablation_dump with:
    output:
        expand(
            ABLATION + "/shards/layer{{layer}}/train_{{rank}}_{nshard}.{ending}", nshard=SHARDS, ending=("npy", "len")
        ),
    log:
        RUN + "/logs/ablation_dump-{layer}-{rank}.log",
    benchmark:
        RUN + "/benchmarks/ablation_dump-{layer}-{rank}.tsv"
    params:
        settings=lambda wildcards: dump_settings(int(wildcards.layer)),
        code=code_digest("daisy.dump"),
        nshard=SHARDS,
        out=lambda wildcards: f"{ABLATION}/shards/layer{wildcards.layer}",


use rule kmeans as ablation_kmeans with:
    input:
        variant_shards,
    output:
        ABLATION + "/layer{layer}-c{clusters}/kmeans.npz",
    log:
        RUN + "/logs/ablation_kmeans-{layer}-{clusters}.log",
    benchmark:
        RUN + "/benchmarks/ablation_kmeans-{layer}-{clusters}.tsv"
    params:
        settings=lambda wildcards: settings(clusters=int(wildcards.clusters), seed=SEED, layer=int(wildcards.layer)),
        code=code_digest("daisy.kmeans"),


use rule labels as ablation_labels with:
    input:
        corpus=corpus("speech"),
        manifest=RUN + "/manifests/speech/train.tsv",
        checkpoint=CHECKPOINT,
        centroids=lambda wildcards: [] if wildcards.variant == "head" else f"{ABLATION}/{wildcards.variant}/kmeans.npz",
    output:
        labels=ABLATION + "/{variant}/train.km",
        dictionary=ABLATION + "/{variant}/dict.km.txt",
    log:
        RUN + "/logs/ablation_labels-{variant}.log",
    benchmark:
        RUN + "/benchmarks/ablation_labels-{variant}.tsv"
    params:
        settings=lambda wildcards: label_settings(variant(wildcards)),
        code=code_digest("daisy.label"),
        centroids=centroids_option,


use rule branches as ablation_branches with:
    input:
        corpus=corpus("speech"),
        checkpoint=CHECKPOINT,
        manifest=RUN + "/manifests/speech/train.tsv",
        labels=ABLATION + "/{variant}/train.km",
        dictionary=ABLATION + "/{variant}/dict.km.txt",
    output:
        model=ABLATION + "/{variant}/daisy.pt",
        history=ABLATION + "/{variant}/history.csv",
    log:
        RUN + "/logs/ablation_branches-{variant}.log",
    benchmark:
        RUN + "/benchmarks/ablation_branches-{variant}.tsv"
    params:
        settings=BRANCH_SETTINGS,
        code=code_digest("daisy.train_branches"),
        state=lambda wildcards: state(
            f"branches-{wildcards.variant}", BRANCH_SETTINGS, code_digest("daisy.train_branches")
        ),


use rule features as ablation_features with:
    input:
        corpus=lambda wildcards: corpus(wildcards.task),
        model=ABLATION + "/{variant}/daisy.pt",
        manifest=RUN + "/manifests/{task}/{part}.tsv",
        like=RUN + "/features/{task}/{part}.npy",
    output:
        states=ABLATION + "/{variant}/features/{task}/{part}.npy",
        table=ABLATION + "/{variant}/features/{task}/{part}.npz",
    log:
        RUN + "/logs/ablation_features-{variant}-{task}-{part}.log",
    benchmark:
        RUN + "/benchmarks/ablation_features-{variant}-{task}-{part}.tsv"
    params:
        settings=feature_settings,
        code=code_digest("daisy.extract"),
        like=lambda wildcards, input: f"--like {input.like}",


use rule calibration as ablation_calibration with:
    input:
        states=ABLATION + "/{variant}/features/{task}/train.npy",
        table=ABLATION + "/{variant}/features/{task}/train.npz",
    output:
        ABLATION + "/{variant}/calibration/{task}.json",
    log:
        RUN + "/logs/ablation_calibration-{variant}-{task}.log",
    params:
        settings=lambda wildcards: calibration_settings(wildcards.task, ABLATED["rho"]),
        code=code_digest("daisy.calibrate"),


use rule downstream as ablation_downstream with:
    input:
        train_manifest=RUN + "/manifests/{task}/train.tsv",
        train_features=ABLATION + "/{variant}/features/{task}/train.npy",
        train_table=ABLATION + "/{variant}/features/{task}/train.npz",
        dev_manifest=RUN + "/manifests/{task}/dev.tsv",
        dev_features=ABLATION + "/{variant}/features/{task}/dev.npy",
        dev_table=ABLATION + "/{variant}/features/{task}/dev.npz",
        calibration=ABLATION + "/{variant}/calibration/{task}.json",
    output:
        model=ABLATION + "/{variant}/downstream/{task}/model.safetensors",
        exits=ABLATION + "/{variant}/downstream/{task}/exits.json",
        history=ABLATION + "/{variant}/downstream/{task}/history.csv",
    log:
        RUN + "/logs/ablation_downstream-{variant}-{task}.log",
    benchmark:
        RUN + "/benchmarks/ablation_downstream-{variant}-{task}.tsv"
    params:
        settings=lambda wildcards: downstream_settings(wildcards.task, "daisy", SEEDS[0]),
        code=lambda wildcards: task_code("daisy.downstream", wildcards.task),
        state=lambda wildcards: state(
            f"ablation-{wildcards.variant}-{wildcards.task}",
            downstream_settings(wildcards.task, "daisy", SEEDS[0]),
            task_code("daisy.downstream", wildcards.task),
        ),
        calibration=lambda wildcards, input: f"--calibration {input.calibration}",


use rule evaluation as ablation_evaluation with:
    input:
        corpus=lambda wildcards: corpus(wildcards.task),
        upstream=ABLATION + "/{variant}/daisy.pt",
        manifest=RUN + "/manifests/{task}/test.tsv",
        features=ABLATION + "/{variant}/features/{task}/test.npy",
        table=ABLATION + "/{variant}/features/{task}/test.npz",
        model=ABLATION + "/{variant}/downstream/{task}/model.safetensors",
        exits=ABLATION + "/{variant}/downstream/{task}/exits.json",
        full=f"{RUN}/downstream/{{task}}/seed{SEEDS[0]}/full/model.safetensors",
    output:
        ABLATION + "/{variant}/evaluation/{task}.json",
    log:
        RUN + "/logs/ablation_evaluation-{variant}-{task}.log",
    params:
        settings=lambda wildcards: evaluation_settings(wildcards.task, "daisy", SEEDS[0], ABLATED["rho"]),
        code=lambda wildcards: task_code("daisy.evaluate", wildcards.task),


rule ablation_table:
    input:
        evaluations=expand(ABLATION + "/{variant}/evaluation/{task}.json", variant=VARIANTS, task=ABLATED["tasks"]),
        calibrations=expand(ABLATION + "/{variant}/calibration/{task}.json", variant=VARIANTS, task=ABLATED["tasks"]),
        full=expand(RUN + "/evaluation/{task}/seed{seed}/full.json", task=ABLATED["tasks"], seed=SEEDS[0]),
    output:
        report(
            RUN + "/tables/ablation.csv",
            caption="captions/ablation.rst",
            category="Ablation",
        ),
        RUN + "/tables/ablation_entropy.csv",
        report(
            RUN + "/figures/ablation.png",
            caption="captions/ablation.rst",
            category="Ablation",
        ),
        RUN + "/figures/ablation.svg",
    log:
        RUN + "/logs/ablation_table.log",
    params:
        settings=settings(
            variants=VARIANTS, default=f"layer{config['targets']['layer']}-c{config['targets']['clusters']}"
        ),
        code=code_digest("daisy.ablation"),
        folder=ABLATION,
        tables=RUN + "/tables",
        figures=RUN + "/figures",
    shell:
        stage(
            "ablation",
            "--folder {params.folder} --full {input.full} --tables {params.tables} --figures {params.figures}",
        )
