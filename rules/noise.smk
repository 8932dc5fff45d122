"""Noise study: a part of the test set under falling signal-to-noise ratio, its exits and its error rates."""

NOISE = config["noise"]
NOISE_TASKS = NOISE["tasks"]
WER_TASK = "asr"


NOISE_FOLDERS = [f"{RUN}/noise/{task}/{method}" for task in NOISE_TASKS for method in noise_methods(task)]
NOISE_TABLES = (
    [f"{RUN}/tables/noise{'' if task == WER_TASK else f'_{task}'}.csv" for task in NOISE_TASKS]
    + expand(results("tables/{name}.csv"), name=("noise_wer", "noise_guard"))
    if NOISE_TASKS
    else []
)
NOISE_FIGURES = ("fig4_noise_exits", "fig5_noise_wer") if NOISE_TASKS else ()
NOISE_FIGURE_FILES = expand(results("figures/{name}.{ending}"), name=NOISE_FIGURES, ending=("png", "svg"))


NOISY = {task: noisy(task) for task in NOISE_TASKS}
NOISE_FEATURES = {task: noise_features(task) for task in NOISE_TASKS}


rule noisy_speech:
    input:
        corpus=lambda wildcards: corpus(wildcards.task),
        manifest=of("manifest", "test.tsv"),
        noise=corpus("noise"),
    output:
        directory(store_path("noisy-{task}-{key}/audio")),
        store_path("noisy-{task}-{key}/noisy.csv"),
        manifest=store_path("noisy-{task}-{key}/noisy.tsv"),
        conditions=store_path("noisy-{task}-{key}/conditions.csv"),
    log:
        store_path("logs/noisy-{task}-{key}.log"),
    benchmark:
        store_path("benchmarks/noisy_speech-{task}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    resources:
        disk_mb=lambda wildcards: disk.megabytes(disk.flac(noisy_audio(wildcards.task))),
    params:
        settings=stored_settings,
        code=stored_code,
        out=output_folder,
    shell:
        stage("noisy", "--manifest {input.manifest} --noise {input.noise} --out {params.out}")


rule noise_features:
    input:
        audio=of("manifest", "audio"),
        manifest=of("manifest", "noisy.tsv"),
        model=of("model", "daisy.pt"),
    output:
        states=store_path("noise_features-{task}-{key}/states.npy"),
        table=store_path("noise_features-{task}-{key}/states.npz"),
    log:
        store_path("logs/noise_features-{task}-{key}.log"),
    benchmark:
        store_path("benchmarks/noise_features-{task}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    threads: 2
    resources:
        disk_mb=states_mb,
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage("extract", "--model {input.model} --manifest {input.manifest} --out {output.states} --threads {threads}")


rule noise_evaluation:
    input:
        manifest=lambda wildcards: f"{NOISY[wildcards.task]}/noisy.tsv",
        conditions=lambda wildcards: f"{NOISY[wildcards.task]}/conditions.csv",
        features=lambda wildcards: f"{NOISE_FEATURES[wildcards.task]}/states.npy",
        table=lambda wildcards: f"{NOISE_FEATURES[wildcards.task]}/states.npz",
        exits=f"{RUN}/downstream/{{task}}/seed{SEEDS[0]}/{{method}}/exits.json",
        model=noise_model,
        upstream=lambda wildcards: streaming(wildcards.task, "test") if noise_model(wildcards) else [],
    output:
        expand(results("noise/{{task}}/{{method}}/{name}.csv"), name=("exits", "wer", "guard")),
    log:
        results("logs/noise_evaluation-{task}-{method}.log"),
    benchmark:
        results("benchmarks/noise_evaluation-{task}-{method}.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=noise_settings,
        code=lambda wildcards: task_code("daisy.noise_evaluate", wildcards.task),
        model=option("model"),
        upstream=option("upstream"),
        out=output_folder,
    shell:
        stage(
            "noise_evaluate",
            "--manifest {input.manifest} --conditions {input.conditions} --features {input.features} "
            "--exits {input.exits} {params.model} {params.upstream} --out {params.out} --threads {threads}",
        )


if NOISE_TASKS:

    rule noise_tables:
        input:
            expand("{folder}/{name}.csv", folder=NOISE_FOLDERS, name=("exits", "wer", "guard")),
        output:
            NOISE_TABLES,
        log:
            results("logs/noise_tables.log"),
        benchmark:
            results("benchmarks/noise_tables.tsv")
        conda:
            "../envs/daisy.yaml"
        params:
            settings=settings(tasks=NOISE_TASKS),
            code=code("daisy.noise_tables"),
            folders=NOISE_FOLDERS,
            out=output_folder,
        shell:
            stage("noise_tables", "--folders {params.folders} --out {params.out}")

    rule noise_figures:
        input:
            NOISE_TABLES,
            # It tells how many layers there are.
            results("tables/entropy.csv"),
        output:
            [
                report(
                    f"{RUN}/figures/{name}.png",
                    caption=f"captions/{name}.rst",
                    category="Figures",
                )
                for name in NOISE_FIGURES
            ],
            expand(results("figures/{name}.svg"), name=NOISE_FIGURES),
        log:
            results("logs/noise_figures.log"),
        benchmark:
            results("benchmarks/noise_figures.tsv")
        conda:
            "../envs/daisy.yaml"
        params:
            settings=settings(tasks=NOISE_TASKS),
            code=all_tasks_code("daisy.noise_figures"),
            tables=folder_of(NOISE_TABLES[0]),
            out=output_folder,
        shell:
            stage("noise_figures", "--tables {params.tables} --out {params.out}")
