"""Corpora: recordings become FLAC files and tables, and tables become the manifests of every task."""


rule embedded_speech:
    output:
        audio=directory(store_path("embedded-{key}/audio")),
        table=store_path("embedded-{key}/recordings.csv"),
        dropped=store_path("embedded-{key}/dropped.csv"),
    log:
        store_path("logs/embedded-{key}.log"),
    benchmark:
        store_path("benchmarks/embedded_speech-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    threads: 2
    params:
        settings=stored_settings,
        code=stored_code,
        debian=cache_path("debian"),
    shell:
        stage(
            "corpora.embedded",
            "--debian {params.debian} --audio {output.audio} --table {output.table} --dropped {output.dropped}",
        )


rule command_speech:
    output:
        audio=directory(store_path("commands-{key}/audio")),
        table=store_path("commands-{key}/recordings.csv"),
    log:
        store_path("logs/commands-{key}.log"),
    benchmark:
        store_path("benchmarks/command_speech-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    threads: 2
    params:
        settings=stored_settings,
        code=stored_code,
        debian=cache_path("debian"),
    shell:
        stage("corpora.commands", "--debian {params.debian} --audio {output.audio} --table {output.table}")


rule command_phones:
    input:
        of("corpus", "recordings.csv"),
    output:
        table=store_path("phones-{key}/recordings.csv"),
    log:
        store_path("logs/phones-{key}.log"),
    benchmark:
        store_path("benchmarks/command_phones-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage("corpora.phones", "--corpus {input} --table {output.table}")


rule noise_recordings:
    input:
        of("speech", "recordings.csv"),
    output:
        audio=directory(store_path("noise-{key}/audio")),
        table=store_path("noise-{key}/recordings.csv"),
    log:
        store_path("logs/noise-{key}.log"),
    benchmark:
        store_path("benchmarks/noise_recordings-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage("corpora.noise", "--speech {input} --audio {output.audio} --table {output.table}")


rule enhancement_mixtures:
    input:
        speech=of("speech", "recordings.csv"),
        noise=of("noise", "recordings.csv"),
    output:
        audio=directory(store_path("enhancement-{key}/audio")),
        table=store_path("enhancement-{key}/recordings.csv"),
    log:
        store_path("logs/enhancement-{key}.log"),
    benchmark:
        store_path("benchmarks/enhancement_mixtures-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage("corpora.enhancement", "--speech {input.speech} --noise {input.noise} --table {output.table}")


rule separation_mixtures:
    input:
        of("speech", "recordings.csv"),
    output:
        audio=directory(store_path("separation-{key}/audio")),
        table=store_path("separation-{key}/recordings.csv"),
    log:
        store_path("logs/separation-{key}.log"),
    benchmark:
        store_path("benchmarks/separation_mixtures-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage("corpora.separation", "--speech {input} --table {output.table}")


rule download:
    output:
        cache_path("downloads/{published}/{archive}.json"),
    log:
        cache_path("downloads/logs/{published}/{archive}.log"),
    benchmark:
        cache_path("downloads/benchmarks/{published}/{archive}.tsv")
    conda:
        "../envs/daisy.yaml"
    resources:
        disk_mb=lambda wildcards: flow.sizes.downloaded(wildcards.published, wildcards.archive),
    params:
        settings=lambda wildcards: flow.corpora.download(wildcards.published, wildcards.archive).settings,
        code=lambda wildcards: flow.corpora.download(wildcards.published, wildcards.archive).code,
        root=lambda wildcards: flow.config.data.published[wildcards.published]["root"],
    shell:
        stage("corpora.published.download", "--root {params.root:q} --out {output}")


rule published_corpus:
    input:
        lambda wildcards: flow.corpora.downloads(wildcards.published),
    output:
        audio=directory(store_path("{published}-{key}/audio")),
        table=store_path("{published}-{key}/recordings.csv"),
        dropped=store_path("{published}-{key}/dropped.csv"),
    log:
        store_path("logs/{published}-{key}.log"),
    benchmark:
        store_path("benchmarks/{published}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    threads: flow.config.data.published["threads"]
    resources:
        disk_mb=lambda wildcards: flow.sizes.made(wildcards.published),
    params:
        settings=stored_settings,
        code=stored_code,
        module=lambda wildcards: module_of(wildcards.published).removeprefix("daisy."),
    shell:
        stage("{params.module}", "--table {output.table} --threads {threads}")


rule own_corpus:
    input:
        corpus=lambda wildcards: ancient(flow.context.store[wildcards.key].inputs["corpus"]),
    output:
        table=store_path("own-{key}/recordings.csv"),
    log:
        store_path("logs/own-{key}.log"),
    benchmark:
        store_path("benchmarks/own_corpus-{key}.tsv")
    # What is wrong with it is known before anything is trained.
    priority: 90
    conda:
        "../envs/daisy.yaml"
    threads: flow.config.data.published["threads"]
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage("corpora.prepared", "--corpus {input.corpus:q} --table {output.table} --threads {threads}")


rule manifests:
    input:
        corpus=lambda wildcards: ancient(flow.corpora.table(wildcards.name)),
    output:
        expand(store_path("manifests-{{name}}-{{key}}/{part}.{ending}"), part=PARTS, ending=("tsv", "csv")),
        summary=store_path("manifests-{name}-{key}/summary.csv"),
        left_out=store_path("manifests-{name}-{key}/left_out.csv"),
    log:
        store_path("logs/manifests-{name}-{key}.log"),
    benchmark:
        store_path("benchmarks/manifests-{name}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=stored_settings,
        code=stored_code,
        out=output_folder,
    shell:
        stage("corpora.manifests", "--corpus {input.corpus} --out {params.out} --summary {output.summary}")
