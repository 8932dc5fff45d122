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


def noisy(task):
    """Folder of the task's noisy test recordings."""
    drawn = {"seed": SEED, **{key: NOISE[key] for key in ("recordings", "kinds", "snr_db")}}
    return stored(f"noisy-{task}", "daisy.noisy", settings=drawn, manifest=MANIFESTS[task], noise=source("noise"))


def noise_features(task):
    """Folder of their states and entropies."""
    return stored(
        f"noise_features-{task}",
        "daisy.extract",
        settings={
            # Of the other tasks the entropies alone are used: the states are kept as small as can be.
            "pooled": task != WER_TASK or TASKS[task].pooled,
            "storage": "float16",
            "batch_seconds": BATCH_SECONDS,
        },
        manifest=NOISY[task],
        model=BRANCHES,
    )


NOISY = {task: noisy(task) for task in NOISE_TASKS}
NOISE_FEATURES = {task: noise_features(task) for task in NOISE_TASKS}


rule noisy_speech:
    input:
        corpus=lambda wildcards: corpus(wildcards.task),
        manifest=of("manifest", "/test.tsv"),
        noise=corpus("noise"),
    output:
        directory(STORE + "/noisy-{task}-{key}/audio"),
        STORE + "/noisy-{task}-{key}/noisy.csv",
        manifest=STORE + "/noisy-{task}-{key}/noisy.tsv",
        conditions=STORE + "/noisy-{task}-{key}/conditions.csv",
    log:
        STORE + "/logs/noisy-{task}-{key}.log",
    benchmark:
        STORE + "/benchmarks/noisy_speech-{task}-{key}.tsv"
    params:
        settings=stored_settings,
        code=stored_code,
        out=STORE + "/noisy-{task}-{key}",
    shell:
        stage("noisy", "--manifest {input.manifest} --noise {input.noise} --out {params.out}")


rule noise_features:
    input:
        audio=of("manifest", "/audio"),
        manifest=of("manifest", "/noisy.tsv"),
        model=of("model", "/daisy.pt"),
    output:
        states=STORE + "/noise_features-{task}-{key}/states.npy",
        table=STORE + "/noise_features-{task}-{key}/states.npz",
    log:
        STORE + "/logs/noise_features-{task}-{key}.log",
    benchmark:
        STORE + "/benchmarks/noise_features-{task}-{key}.tsv"
    threads: 2
    params:
        settings=stored_settings,
        code=stored_code,
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
        manifest=lambda wildcards: NOISY[wildcards.task] + "/noisy.tsv",
        conditions=lambda wildcards: NOISY[wildcards.task] + "/conditions.csv",
        features=lambda wildcards: NOISE_FEATURES[wildcards.task] + "/states.npy",
        table=lambda wildcards: NOISE_FEATURES[wildcards.task] + "/states.npz",
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
        benchmark:
            RUN + "/benchmarks/noise_tables.tsv"
        params:
            settings=settings(tasks=NOISE_TASKS),
            code=code("daisy.noise_tables"),
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
        benchmark:
            RUN + "/benchmarks/noise_figures.tsv"
        params:
            settings=settings(tasks=NOISE_TASKS),
            code=all_tasks_code("daisy.noise_figures"),
            tables=RUN + "/tables",
            out=RUN + "/figures",
        shell:
            stage("noise_figures", "--tables {params.tables} --out {params.out}")
