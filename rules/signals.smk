"""Signals: other numbers than entropy by which an utterance may stop, compared on a run's own models.

Run by `snakemake signals`: one pass of the model over each test set for all signals, one prediction per recording and
layer from kept states, and arithmetic.
"""


rule signals:
    input:
        results("signals/store.csv"),
        results("tables/signals.csv"),
        expand(
            results("figures/{name}.{ending}"),
            name=["signals", "fig3_curve"],
            ending=ENDINGS,
        ),


use rule links as signals_links with:
    output:
        results("signals/store.csv"),
    log:
        results("logs/signals_links.log"),
    benchmark:
        results("benchmarks/signals_links.tsv")
    params:
        settings=flow.links(flow.signals.links).settings,
        code=flow.links(flow.signals.links).code,


rule every_signal:
    input:
        corpus=lambda wildcards: flow.corpora.table(wildcards.task),
        upstream=of("upstream", "daisy.pt"),
        manifest=of("manifest", "test.tsv"),
    output:
        store_path("signals-{task}-{key}/signals.npz"),
    log:
        store_path("logs/signals-{task}-{key}.log"),
    benchmark:
        store_path("benchmarks/signals-{task}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    resources:
        gpu=gpus(),
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage(
            "features.signals",
            "--upstream {input.upstream} --manifest {input.manifest} --out {output} --threads {threads}",
        )


rule every_layer:
    input:
        corpus=lambda wildcards: flow.corpora.table(wildcards.task),
        upstream=of("upstream", "daisy.pt"),
        manifest=of("manifest", "test.tsv"),
        states=of("states", "states.npy"),
        downstream=of("downstream", "model.safetensors"),
    output:
        store_path("layers-{task}-{method}-{key}/layers.npz"),
    log:
        store_path("logs/layers-{task}-{method}-{key}.log"),
    benchmark:
        store_path("benchmarks/layers-{task}-{method}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    resources:
        gpu=gpus(),
    params:
        states=option("states"),
        settings=stored_settings,
        code=stored_code,
    shell:
        stage(
            "evaluation.layers",
            "--upstream {input.upstream} --manifest {input.manifest} {params.states} "
            "--downstream {input.downstream} --out {output} --threads {threads} --processes {threads}",
        )


rule signals_table:
    input:
        signals=flow.signals.measured_files,
        layers=flow.signals.layer_files,
        grid=results("tables/grid.csv"),
    output:
        report(
            results("tables/signals.csv"),
            caption="captions/signals.rst",
            category="Signals",
        ),
        results("tables/signals_curve.csv"),
        report(
            results("figures/signals.png"),
            caption="captions/signals.rst",
            category="Signals",
        ),
        results("figures/signals.svg"),
        report(
            results("figures/fig3_curve.png"),
            caption="captions/fig3_curve.rst",
            category="Signals",
        ),
        results("figures/fig3_curve.svg"),
    log:
        results("logs/signals_table.log"),
    benchmark:
        results("benchmarks/signals_table.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=flow.signals.table.settings,
        code=flow.signals.table.code,
        tables=output_folder,
        figures=folder("figures"),
    shell:
        stage(
            "report.signals",
            "--signals {input.signals} --layers {input.layers} --grid {input.grid} "
            "--tables {params.tables} --figures {params.figures}",
        )
