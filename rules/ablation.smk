"""Target ablation: what the branches are trained on, and what it does to entropies, exits and results.

Run by `snakemake ablation`. Every variant is the pipeline's own rules with other targets; the frozen HuBERT's
states are shared, and so are the models of `full`, which no branch touches.
"""


rule ablation:
    input:
        results("ablation/store.csv"),
        results("tables/ablation.csv"),
        expand(results("figures/ablation.{ending}"), ending=ENDINGS),


use rule links as ablation_links with:
    output:
        results("ablation/store.csv"),
    log:
        results("logs/ablation_links.log"),
    benchmark:
        results("benchmarks/ablation_links.tsv")
    params:
        settings=flow.links(flow.ablation.links).settings,
        code=flow.links(flow.ablation.links).code,


use rule calibration as ablation_calibration with:
    output:
        results("ablation/{variant}/calibration/{task}/{rho}.json"),
    log:
        results("logs/ablation_calibration-{variant}-{task}-{rho}.log"),
    benchmark:
        results("benchmarks/ablation_calibration-{variant}-{task}-{rho}.tsv")


use rule downstream as ablation_downstream with:
    output:
        downstream=results("ablation/{variant}/downstream/{task}/seed{seed}/{method}/model.safetensors"),
        exits=results("ablation/{variant}/downstream/{task}/seed{seed}/{method}/exits.json"),
        history=results("ablation/{variant}/downstream/{task}/seed{seed}/{method}/history.csv"),
    log:
        results("logs/ablation_downstream-{variant}-{task}-{method}-seed{seed}.log"),
    benchmark:
        results("benchmarks/ablation_downstream-{variant}-{task}-{method}-seed{seed}.tsv")


use rule evaluation as ablation_evaluation with:
    output:
        results("ablation/{variant}/evaluation/{task}/seed{seed}/{method}.json"),
    log:
        results("logs/ablation_evaluation-{variant}-{task}-{method}-seed{seed}.log"),
    benchmark:
        results("benchmarks/ablation_evaluation-{variant}-{task}-{method}-seed{seed}.tsv")


rule ablation_table:
    input:
        evaluations=flow.ablation.files("evaluation"),
        calibrations=flow.ablation.files("calibration"),
        topline_evaluations=expand(
            results("evaluation/{task}/seed{seed}/full.json"), task=flow.ablation.tasks, seed=flow.context.first_seed
        ),
    output:
        report(
            results("tables/ablation.csv"),
            caption="captions/ablation.rst",
            category="Ablation",
        ),
        results("tables/ablation_entropy.csv"),
        report(
            results("figures/ablation.png"),
            caption="captions/ablation.rst",
            category="Ablation",
        ),
        results("figures/ablation.svg"),
    log:
        results("logs/ablation_table.log"),
    benchmark:
        results("benchmarks/ablation_table.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=flow.ablation.table.settings,
        code=flow.ablation.table.code,
        tables=output_folder,
        figures=folder("figures"),
    shell:
        stage(
            "report.ablation",
            "--evaluations {input.evaluations} --calibrations {input.calibrations} "
            "--topline-evaluations {input.topline_evaluations} --tables {params.tables} --figures {params.figures}",
        )
