"""Report: the evaluations become tables, the tables become figures, and all of it becomes one page."""

TABLES = ("grid", "entropy", "exits", "thresholds", "candidates")
FIGURES = ("fig2_entropy", "fig3_tradeoff")
TABLE_FILES = expand(RUN + "/tables/{name}.csv", name=TABLES)
CARD = os.path.splitext(CHECKPOINT)[0] + ".md"
FIGURE_FILES = expand(RUN + "/figures/{name}.{ending}", name=FIGURES, ending=("png", "svg"))


rule resolved_config:
    output:
        RUN + "/config.yaml",
    params:
        settings=settings(**config),
        code=code_digest("daisy.config"),
    log:
        RUN + "/logs/resolved_config.log",
    shell:
        stage("config", "--out {output}")


rule tables:
    input:
        evaluations=expand(RUN + "/evaluation/{task}/{method}.json", task=config["tasks"], method=METHODS),
        calibrations=expand(RUN + "/calibration/{task}/{rho}.json", task=config["tasks"], rho=RHOS),
    output:
        report(
            RUN + "/tables/grid.csv",
            caption="captions/grid.rst",
            category="Results",
        ),
        TABLE_FILES[1:],
    params:
        settings=settings(),
        code=code_digest("daisy.tables"),
        out=RUN + "/tables",
    log:
        RUN + "/logs/tables.log",
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
    params:
        settings=settings(),
        code=code_digest("daisy.figures"),
        tables=RUN + "/tables",
        out=RUN + "/figures",
    log:
        RUN + "/logs/figures.log",
    shell:
        stage("figures", "--tables {params.tables} --out {params.out}")


rule report_page:
    input:
        TABLE_FILES,
        FIGURE_FILES,
        NOISE_TABLES,
        NOISE_FIGURE_FILES,
        config=RUN + "/config.yaml",
        manifests=RUN + "/manifests/summary.csv",
        dropped=[] if config["data"]["corpora"].get("speech") else [CORPORA + "/embedded/dropped.csv"],
        history=RUN + "/branches/history.csv",
        histograms=expand(RUN + "/downstream/{task}/{method}/exits.json", task=config["tasks"], method=METHODS),
    output:
        report(
            RUN + "/report.html",
            caption="captions/report.rst",
            category="Results",
        ),
    params:
        settings=settings(run=config["run"], noise_tasks=NOISE_TASKS),
        code=code_digest("daisy.report"),
        tables=RUN + "/tables",
        figures=RUN + "/figures",
        dropped=lambda wildcards, input: f"--dropped {input.dropped}" if input.dropped else "",
        card=f"--checkpoint-card {CARD}" if os.path.exists(CARD) else "",
    log:
        RUN + "/logs/report_page.log",
    shell:
        stage(
            "report",
            "--tables {params.tables} --figures {params.figures} --config {input.config} "
            "--manifests {input.manifests} {params.dropped} --history {input.history} "
            "--histograms {input.histograms} {params.card} --out {output}",
        )
