"""Bundle: branches, thresholds, training histograms and what thresholds spend in one file, for `daisy.load` and the command `daisy`."""


rule bundle:
    input:
        upstream=flow.upstream.file,
        calibrations=[flow.models.threshold_file(task, method.rho) for task, method, _ in flow.bundled],
        exits=[flow.models.exits_file(*cell) for cell in flow.bundled],
        entropies=flow.entropies("train"),
    output:
        results("model/daisy.safetensors"),
    log:
        results("logs/bundle.log"),
    benchmark:
        results("benchmarks/bundle.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=flow.bundle.settings,
        code=flow.bundle.code,
    shell:
        stage(
            "library.bundle",
            "--upstream {input.upstream} --calibrations {input.calibrations} --exits {input.exits} "
            "--entropies {input.entropies} --out {output}",
        )
