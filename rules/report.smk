"""Report: the evaluations become tables, the tables become figures, and all of it becomes one page."""


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
        settings=flow.resolved.settings,
        code=flow.resolved.code,
    shell:
        stage("workflow.save_config", "--out {output}")


rule tables:
    input:
        evaluations=flow.models.evaluation_files,
        calibrations=flow.models.threshold_files,
    output:
        report(
            results("tables/grid.csv"),
            caption="captions/grid.rst",
            category="Results",
        ),
        flow.tables[1:],
    log:
        results("logs/tables.log"),
    benchmark:
        results("benchmarks/tables.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=flow.gathering.settings,
        code=flow.gathering.code,
        out=output_folder,
    shell:
        stage(
            "report.tables", "--evaluations {input.evaluations} --calibrations {input.calibrations} --out {params.out}"
        )


rule claims:
    input:
        flow.tables,
        flow.noise.tables,
        summaries=[f"{folder}/summary.csv" for folder in flow.corpora.manifests.values()],
    output:
        report(
            results("tables/claims.csv"),
            caption="captions/claims.rst",
            category="Results",
        ),
    log:
        results("logs/claims.log"),
    benchmark:
        results("benchmarks/claims.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=flow.judging.settings,
        code=flow.judging.code,
        tables=folder("tables"),
    shell:
        stage("report.judge", "--tables {params.tables} --summaries {input.summaries} --out {output}")


rule figures:
    input:
        flow.tables,
    output:
        [
            report(
                results(f"figures/{name}.png"),
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
        settings=flow.drawing.settings,
        code=flow.drawing.code,
        tables=folder("tables"),
        out=output_folder,
    shell:
        stage("report.figures", "--tables {params.tables} --out {params.out}")


rule budget:
    input:
        bundle=results("model/daisy.safetensors"),
        dev=flow.entropies("dev"),
        test=flow.entropies("test"),
    output:
        results("tables/budget.csv"),
        report(
            results("figures/budget.png"),
            caption="captions/budget.rst",
            category="Figures",
        ),
        results("figures/budget.svg"),
    log:
        results("logs/budget.log"),
    benchmark:
        results("benchmarks/budget.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=flow.budget.settings,
        code=flow.budget.code,
        tables=output_folder,
        figures=folder("figures"),
    shell:
        stage(
            "report.budget",
            "--bundle {input.bundle} --dev {input.dev} --test {input.test} "
            "--tables {params.tables} --figures {params.figures}",
        )


rule examples:
    input:
        corpus=lambda wildcards: flow.corpora.table(wildcards.task),
        upstream=flow.upstream.file,
        manifest=lambda wildcards: flow.corpora.manifest(wildcards.task, "test"),
        downstream=lambda wildcards: [f"{folder}/model.safetensors" for folder in flow.heard_models(wildcards.task)],
        exits=lambda wildcards: [f"{folder}/exits.json" for folder in flow.heard_models(wildcards.task)],
    output:
        examples=results("examples/{task}/examples.json"),
        audio=directory(results("examples/{task}/audio")),
    log:
        results("logs/examples-{task}.log"),
    benchmark:
        results("benchmarks/examples-{task}.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=lambda wildcards: flow.examples(wildcards.task).settings,
        code=lambda wildcards: flow.examples(wildcards.task).code,
    shell:
        stage(
            "report.examples",
            "--upstream {input.upstream} --manifest {input.manifest} --downstream {input.downstream} "
            "--exits {input.exits} --audio {output.audio} --out {output.examples} --threads {threads}",
        )


rule report_page:
    input:
        flow.tables,
        flow.figures,
        flow.noise.tables,
        flow.noise_figures,
        flow.at_work_figures,
        flow.budget_table,
        flow.budget_figures,
        results("tables/claims.csv"),
        examples=expand(results("examples/{task}/examples.json"), task=flow.playing),
        config=results("config.yaml"),
        summaries=[f"{folder}/summary.csv" for folder in flow.corpora.manifests.values()],
        dropped=flow.corpora.left_out,
        history=f"{flow.upstream.branches}/history.csv",
        beside=[f"{folder}/{name}.csv" for folder in flow.beside for name in ("grid", "entropy")],
        # Exits by the branches depend on no downstream weights, so one seed shows them all.
        exits=[flow.models.exits_file(*cell) for cell in flow.context.cells if cell[2] == flow.context.first_seed],
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
        settings=flow.page.settings,
        code=flow.page.code,
        tables=folder("tables"),
        figures=folder("figures"),
        card=f"--card {flow.card}" if flow.card else "",
        beside=f"--beside {' '.join(flow.beside)}" if flow.beside else "",
    shell:
        stage(
            "report.page",
            "--tables {params.tables} --figures {params.figures} --config {input.config} "
            "--summaries {input.summaries} --dropped {input.dropped} --history {input.history} "
            "--exits {input.exits} {params.card} {params.beside} --examples {input.examples} --out {output}",
        )
