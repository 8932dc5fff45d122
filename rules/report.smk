"""Report: the evaluations become tables, the tables become figures, and all of it becomes one page."""

TABLES = ("grid", "entropy", "exits", "thresholds", "candidates", "table1", "seeds")
FIGURES = ("fig2_entropy", "fig3_tradeoff")
TABLE_FILES = expand(results("tables/{name}.csv"), name=TABLES)
CARD = f"{os.path.splitext(CHECKPOINT)[0]}.md"
FIGURE_FILES = expand(results("figures/{name}.{ending}"), name=FIGURES, ending=("png", "svg"))


rule resolved_config:
    output:
        results("config.yaml"),
    log:
        results("logs/resolved_config.log"),
    benchmark:
        results("benchmarks/resolved_config.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=settings(**config),
        code=code("daisy.save_config"),
    shell:
        stage("save_config", "--out {output}")


rule tables:
    input:
        evaluations=expand(
            results("evaluation/{task}/seed{seed}/{method}.json"), task=config["tasks"], seed=SEEDS, method=METHODS
        ),
        calibrations=expand(results("calibration/{task}/{rho}.json"), task=config["tasks"], rho=RHOS),
    output:
        report(
            results("tables/grid.csv"),
            caption="captions/grid.rst",
            category="Results",
        ),
        TABLE_FILES[1:],
    log:
        results("logs/tables.log"),
    benchmark:
        results("benchmarks/tables.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=settings(),
        code=code("daisy.tables"),
        out=output_folder,
    shell:
        stage("tables", "--evaluations {input.evaluations} --calibrations {input.calibrations} --out {params.out}")


rule figures:
    input:
        TABLE_FILES,
    output:
        [
            report(
                f"{RUN}/figures/{name}.png",
                caption=f"captions/{name}.rst",
                category="Figures",
            )
            for name in FIGURES
        ],
        expand(results("figures/{name}.svg"), name=FIGURES),
    log:
        results("logs/figures.log"),
    benchmark:
        results("benchmarks/figures.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=settings(),
        code=all_tasks_code("daisy.figures"),
        tables=folder_of(TABLE_FILES[0]),
        out=output_folder,
    shell:
        stage("figures", "--tables {params.tables} --out {params.out}")


# Listeners hear the full model, and DAISY at its largest scale, which stops the earliest.
HEARD = ["full"] + ([f"daisy-{max(RHOS, key=RHOS.get)}"] if DAISY else [])
EXAMPLES = expand(
    results("examples/{task}/examples.json"), task=[task for task in config["tasks"] if TASKS[task].waves]
)


rule examples:
    input:
        corpus=lambda wildcards: corpus(wildcards.task),
        upstream=f"{BRANCHES}/daisy.pt",
        manifest=lambda wildcards: f"{MANIFESTS[wildcards.task]}/test.tsv",
        models=expand(results("downstream/{{task}}/seed{seed}/{method}/model.safetensors"), seed=SEEDS[0], method=HEARD),
        exits=expand(results("downstream/{{task}}/seed{seed}/{method}/exits.json"), seed=SEEDS[0], method=HEARD),
    output:
        table=results("examples/{task}/examples.json"),
        audio=directory(results("examples/{task}/audio")),
    log:
        results("logs/examples-{task}.log"),
    benchmark:
        results("benchmarks/examples-{task}.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=example_settings,
        code=lambda wildcards: task_code("daisy.examples", wildcards.task),
    shell:
        stage(
            "examples",
            "--upstream {input.upstream} --manifest {input.manifest} --models {input.models} --exits {input.exits} "
            "--audio {output.audio} --out {output.table} --threads {threads}",
        )


rule report_page:
    input:
        TABLE_FILES,
        FIGURE_FILES,
        NOISE_TABLES,
        NOISE_FIGURE_FILES,
        examples=EXAMPLES,
        config=results("config.yaml"),
        manifests=[f"{folder}/summary.csv" for folder in MANIFESTS.values()],
        dropped=LEFT_OUT,
        history=f"{BRANCHES}/history.csv",
        # Exits depend on no downstream weights, so one seed shows them all.
        histograms=expand(
            results("downstream/{task}/seed{seed}/{method}/exits.json"),
            task=config["tasks"],
            seed=SEEDS[0],
            method=METHODS,
        ),
    output:
        report(
            results("report.html"),
            caption="captions/report.rst",
            category="Results",
        ),
    log:
        results("logs/report_page.log"),
    benchmark:
        results("benchmarks/report_page.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=settings(run=config["run"], noise_tasks=NOISE_TASKS),
        code=all_tasks_code("daisy.report"),
        tables=folder_of(TABLE_FILES[0]),
        figures=folder_of(FIGURE_FILES[0]),
        card=f"--checkpoint-card {CARD}" if os.path.exists(CARD) else "",
    shell:
        stage(
            "report",
            "--tables {params.tables} --figures {params.figures} --config {input.config} "
            "--manifests {input.manifests} --dropped {input.dropped} --history {input.history} "
            "--histograms {input.histograms} {params.card} --examples {input.examples} --out {output}",
        )
