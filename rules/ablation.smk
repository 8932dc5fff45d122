"""Target ablation: what the branches are trained on, and what it does to entropies, exits and results.

Run by `snakemake ablation`. Every variant is the pipeline's own rules with other targets; the store shares what is
equal: the frozen HuBERT's states, the models of `full`, which no branch touches, and what is as in the run itself.
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


rule ablation_table:
    input:
        evaluations=flow.ablation.evaluation_files,
        calibrations=flow.ablation.threshold_files,
        topline_evaluations=flow.toplines(flow.ablation.tasks),
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
