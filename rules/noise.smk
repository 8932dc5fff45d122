"""Noise study: a part of the test set under falling signal-to-noise ratio, its exits and its error rates."""

NOISE = config["noise"]
NOISE_TASKS = NOISE["tasks"]
WER_TASK = "asr"


def noise_methods(task):
    """Every method has a word error rate; for the exits of the other tasks DAISY is enough."""
    return METHODS if task == WER_TASK else DAISY


NOISE_FOLDERS = [f"{RUN}/noise/{task}/{method}" for task in NOISE_TASKS for method in noise_methods(task)]
NOISE_TABLES = (
    [f"{RUN}/tables/noise{'' if task == WER_TASK else f'_{task}'}.csv" for task in NOISE_TASKS]
    + expand(RUN + "/tables/{name}.csv", name=("noise_wer", "noise_guard"))
    if NOISE_TASKS
    else []
)
NOISE_FIGURES = ("fig4_noise_exits", "fig5_noise_wer") if NOISE_TASKS else ()
NOISE_FIGURE_FILES = expand(RUN + "/figures/{name}.{ending}", name=NOISE_FIGURES, ending=("png", "svg"))


rule noisy_speech:
    input:
        corpus=lambda wildcards: corpus(wildcards.task),
        manifest=RUN + "/manifests/{task}/test.tsv",
        noise=corpus("noise"),
    output:
        directory(RUN + "/noise/{task}/audio"),
        RUN + "/noise/{task}/noisy.csv",
        manifest=RUN + "/noise/{task}/noisy.tsv",
        conditions=RUN + "/noise/{task}/conditions.csv",
    log:
        RUN + "/logs/noisy_speech-{task}.log",
    benchmark:
        RUN + "/benchmarks/noisy_speech-{task}.tsv"
    params:
        settings=settings(seed=SEED, **{key: NOISE[key] for key in ("recordings", "kinds", "snr_db")}),
        code=code_digest("daisy.noisy"),
        out=RUN + "/noise/{task}",
    shell:
        stage("noisy", "--manifest {input.manifest} --noise {input.noise} --out {params.out}")


rule noise_features:
    input:
        audio=RUN + "/noise/{task}/audio",
        model=RUN + "/branches/daisy.pt",
        manifest=RUN + "/noise/{task}/noisy.tsv",
    output:
        states=RUN + "/noise/{task}/noisy.npy",
        table=RUN + "/noise/{task}/noisy.npz",
    log:
        RUN + "/logs/noise_features-{task}.log",
    benchmark:
        RUN + "/benchmarks/noise_features-{task}.tsv"
    threads: 2
    params:
        settings=lambda wildcards: settings(
            # Of the other tasks the entropies alone are used: the states are kept as small as can be.
            pooled=wildcards.task != WER_TASK or TASKS[wildcards.task].pooled,
            storage="float16",
            batch_seconds=config["upstream"]["batch_seconds"],
        ),
        code=code_digest("daisy.extract"),
    shell:
        stage("extract", "--model {input.model} --manifest {input.manifest} --out {output.states} --threads {threads}")


def noise_settings(wildcards):
    daisy = wildcards.method.startswith("daisy")
    q = config["tasks"][wildcards.task]["q"]
    return settings(
        method="daisy" if daisy else wildcards.method,
        rho=RHOS[wildcards.method.removeprefix("daisy-")] if daisy else None,
        fixed_layer=fixed_layer(wildcards.method),
        strategies={name: q for name in config["evaluation"]["strategies"]} if daisy else {},
        floor=config["thresholds"]["floor"],
        floors=NOISE["floors"] if daisy else [],
        draws=config["evaluation"]["bootstrap_draws"],
        seed=SEED,
    )


def noise_model(wildcards):
    return (
        f"{RUN}/downstream/{{task}}/seed{SEEDS[0]}/{{method}}/model.safetensors" if wildcards.task == WER_TASK else []
    )


rule noise_evaluation:
    input:
        manifest=RUN + "/noise/{task}/noisy.tsv",
        conditions=RUN + "/noise/{task}/conditions.csv",
        features=RUN + "/noise/{task}/noisy.npy",
        table=RUN + "/noise/{task}/noisy.npz",
        exits=f"{RUN}/downstream/{{task}}/seed{SEEDS[0]}/{{method}}/exits.json",
        model=noise_model,
    output:
        expand(RUN + "/noise/{{task}}/{{method}}/{name}.csv", name=("exits", "wer", "guard")),
    log:
        RUN + "/logs/noise_evaluation-{task}-{method}.log",
    benchmark:
        RUN + "/benchmarks/noise_evaluation-{task}-{method}.tsv"
    params:
        settings=noise_settings,
        code=lambda wildcards: task_code("daisy.noise_evaluate", wildcards.task),
        model=lambda wildcards, input: f"--model {input.model}" if input.model else "",
        out=RUN + "/noise/{task}/{method}",
    shell:
        stage(
            "noise_evaluate",
            "--manifest {input.manifest} --conditions {input.conditions} --features {input.features} "
            "--exits {input.exits} {params.model} --out {params.out} --threads {threads}",
        )


if NOISE_TASKS:

    rule noise_tables:
        input:
            expand("{folder}/{name}.csv", folder=NOISE_FOLDERS, name=("exits", "wer", "guard")),
        output:
            NOISE_TABLES,
        log:
            RUN + "/logs/noise_tables.log",
        params:
            settings=settings(tasks=NOISE_TASKS),
            code=code_digest("daisy.noise_tables"),
            folders=NOISE_FOLDERS,
            out=RUN + "/tables",
        shell:
            stage("noise_tables", "--folders {params.folders} --out {params.out}")

    rule noise_figures:
        input:
            NOISE_TABLES,
            # It tells how many layers there are.
            RUN + "/tables/entropy.csv",
        output:
            [
                report(
                    f"{RUN}/figures/{name}.png",
                    caption=f"captions/{name}.rst",
                    category="Figures",
                )
                for name in NOISE_FIGURES
            ],
            expand(RUN + "/figures/{name}.svg", name=NOISE_FIGURES),
        log:
            RUN + "/logs/noise_figures.log",
        params:
            settings=settings(tasks=NOISE_TASKS),
            code=code_digest("daisy.noise_figures"),
            tables=RUN + "/tables",
            out=RUN + "/figures",
        shell:
            stage("noise_figures", "--tables {params.tables} --out {params.out}")
