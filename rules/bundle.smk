"""Bundle: branches, thresholds and training histograms in one file, for `daisy.load` and the command `daisy`."""


rule bundle:
    input:
        upstream=flow.upstream.file,
        calibrations=flow.rho_cells("calibration/{task}/{rho}.json"),
        exits=flow.rho_cells("downstream/{task}/seed{seed}/{method}/exits.json"),
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
            "--upstream {input.upstream} --calibrations {input.calibrations} --exits {input.exits} --out {output}",
        )
