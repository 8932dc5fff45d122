"""Report: the evaluations become tables, the tables become figures, and all of it becomes one page."""

TABLES = ("grid", "entropy", "exits", "thresholds", "candidates", "table1", "seeds")
FIGURES = ("fig2_entropy", "fig3_tradeoff")
TABLE_FILES = expand(RUN + "/tables/{name}.csv", name=TABLES)
CARD = os.path.splitext(CHECKPOINT)[0] + ".md"
FIGURE_FILES = expand(RUN + "/figures/{name}.{ending}", name=FIGURES, ending=("png", "svg"))


rule resolved_config:
    output:
        RUN + "/config.yaml",
    log:
        RUN + "/logs/resolved_config.log",
    benchmark:
        RUN + "/benchmarks/resolved_config.tsv"
    params:
        settings=settings(**config),
        code=code("daisy.config"),
    shell:
        stage("config", "--out {output}")


rule tables:
    input:
        evaluations=expand(
            RUN + "/evaluation/{task}/seed{seed}/{method}.json", task=config["tasks"], seed=SEEDS, method=METHODS
        ),
        calibrations=expand(RUN + "/calibration/{task}/{rho}.json", task=config["tasks"], rho=RHOS),
    output:
        report(
            RUN + "/tables/grid.csv",
            caption="captions/grid.rst",
            category="Results",
        ),
        TABLE_FILES[1:],
    log:
        RUN + "/logs/tables.log",
    benchmark:
        RUN + "/benchmarks/tables.tsv"
    params:
        settings=settings(),
        code=code("daisy.tables"),
        out=RUN + "/tables",
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
        expand(RUN + "/figures/{name}.svg", name=FIGURES),
    log:
        RUN + "/logs/figures.log",
    benchmark:
        RUN + "/benchmarks/figures.tsv"
    params:
        settings=settings(),
        code=all_tasks_code("daisy.figures"),
        tables=RUN + "/tables",
        out=RUN + "/figures",
    shell:
        stage("figures", "--tables {params.tables} --out {params.out}")


# Listeners hear the full model, and DAISY at its largest scale, which stops the earliest.
HEARD = ["full"] + ([f"daisy-{max(RHOS, key=RHOS.get)}"] if DAISY else [])
EXAMPLES = expand(RUN + "/examples/{task}/examples.json", task=[task for task in config["tasks"] if TASKS[task].waves])


def example_settings(wildcards):
    systems = [{"name": "Full model", "fixed_layer": -1}]
    if DAISY:
        strategy = config["evaluation"]["strategies"][0]
        name = f"DAISY ρ {max(RHOS.values()):g}, {strategy}"
        q = config["tasks"][wildcards.task]["q"]
        systems.append({"name": name, "fixed_layer": 0, "strategy": strategy, "q": q})
    return settings(seed=SEED, systems=systems, **config["report"]["examples"])


rule examples:
    input:
        corpus=lambda wildcards: corpus(wildcards.task),
        upstream=BRANCHES + "/daisy.pt",
        manifest=lambda wildcards: MANIFESTS[wildcards.task] + "/test.tsv",
        models=expand(RUN + "/downstream/{{task}}/seed{seed}/{method}/model.safetensors", seed=SEEDS[0], method=HEARD),
        exits=expand(RUN + "/downstream/{{task}}/seed{seed}/{method}/exits.json", seed=SEEDS[0], method=HEARD),
    output:
        table=RUN + "/examples/{task}/examples.json",
        audio=directory(RUN + "/examples/{task}/audio"),
    log:
        RUN + "/logs/examples-{task}.log",
    benchmark:
        RUN + "/benchmarks/examples-{task}.tsv"
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
        config=RUN + "/config.yaml",
        manifests=[f"{folder}/summary.csv" for folder in MANIFESTS.values()],
        dropped=[] if DATA["corpora"].get("speech") else [CORPORA["speech"] + "/dropped.csv"],
        history=BRANCHES + "/history.csv",
        # Exits depend on no downstream weights, so one seed shows them all.
        histograms=expand(
            RUN + "/downstream/{task}/seed{seed}/{method}/exits.json",
            task=config["tasks"],
            seed=SEEDS[0],
            method=METHODS,
        ),
    output:
        report(
            RUN + "/report.html",
            caption="captions/report.rst",
            category="Results",
        ),
    log:
        RUN + "/logs/report_page.log",
    benchmark:
        RUN + "/benchmarks/report_page.tsv"
    params:
        settings=settings(run=config["run"], noise_tasks=NOISE_TASKS),
        code=all_tasks_code("daisy.report"),
        tables=RUN + "/tables",
        figures=RUN + "/figures",
        dropped=lambda wildcards, input: f"--dropped {input.dropped}" if input.dropped else "",
        card=f"--checkpoint-card {CARD}" if os.path.exists(CARD) else "",
    shell:
        stage(
            "report",
            "--tables {params.tables} --figures {params.figures} --config {input.config} "
            "--manifests {input.manifests} {params.dropped} --history {input.history} "
            "--histograms {input.histograms} {params.card} --examples {input.examples} --out {output}",
        )
