"""Links: a run's folder names the stages of the store that it uses; removing it removes links and nothing else."""


rule links:
    output:
        results("store.csv"),
    log:
        results("logs/links.log"),
    benchmark:
        results("benchmarks/links.tsv")
    # Before anything is made, so that an unfinished run's stages are known to be in use.
    priority: 100
    conda:
        "../envs/daisy.yaml"
    params:
        settings=flow.links(flow.stored).settings,
        code=flow.links(flow.stored).code,
    shell:
        stage("workflow.links", "--out {output}")
