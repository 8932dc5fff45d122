"""Links: a run's folder names the stages of the store that it uses; removing it removes links and nothing else."""

LINKS = {
    **{f"corpora/{name}": folder for name, folder in CORPORA.items() if folder.startswith(f"{STORE}/")},
    **{f"manifests/{task}": folder for task, folder in MANIFESTS.items()},
    **behind(TARGETS),
    "targets": TARGETS,
    "branches": BRANCHES,
    **{f"features/{task}/{part}": folder for (task, part), folder in FEATURES.items()},
    **{f"noisy/{task}": folder for task, folder in NOISY.items()},
    **{f"noise_features/{task}": folder for task, folder in NOISE_FEATURES.items()},
}


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
        settings=settings(links=LINKS),
        code=code("daisy.links"),
    shell:
        stage("links", "--out {output}")
