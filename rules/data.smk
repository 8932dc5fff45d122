"""Corpora: recordings become FLAC files and tables, and tables become one manifest per task and split."""


rule embedded_speech:
    output:
        audio=directory(CORPORA + "/embedded/audio"),
        table=CORPORA + "/embedded/recordings.csv",
        dropped=CORPORA + "/embedded/dropped.csv",
    log:
        CACHE + "/logs/embedded_speech.log",
    threads: 2
    params:
        settings=settings(packages=config["data"]["packages"]),
        code=code_digest("daisy.corpora.embedded"),
        cache=CACHE + "/debian",
    shell:
        stage(
            "corpora.embedded",
            "--cache {params.cache} --audio {output.audio} --table {output.table} --dropped {output.dropped}",
        )


rule command_speech:
    input:
        # Both corpora unpack packages into one cache: one after the other.
        CORPORA + "/embedded/recordings.csv",
    output:
        audio=directory(CORPORA + "/commands/audio"),
        table=CORPORA + "/commands/recordings.csv",
    log:
        CACHE + "/logs/command_speech.log",
    threads: 2
    params:
        settings=settings(seed=SEED, **config["data"]["commands"]),
        code=code_digest("daisy.corpora.commands"),
        cache=CACHE + "/debian",
    shell:
        stage("corpora.commands", "--cache {params.cache} --audio {output.audio} --table {output.table}")


rule noise_recordings:
    input:
        CORPORA + "/embedded/recordings.csv",
    output:
        audio=directory(CORPORA + "/noise/audio"),
        table=CORPORA + "/noise/recordings.csv",
    log:
        CACHE + "/logs/noise_recordings.log",
    params:
        settings=settings(
            seed=SEED,
            sid_min_recordings=config["data"]["splits"]["sid_min_recordings"],
            **config["data"]["noise"],
        ),
        code=code_digest("daisy.corpora.noise"),
    shell:
        stage("corpora.noise", "--speech {input} --audio {output.audio} --table {output.table}")


rule mixtures:
    input:
        speech=CORPORA + "/embedded/recordings.csv",
        noise=CORPORA + "/noise/recordings.csv",
    output:
        noisy=directory(CORPORA + "/enhancement/audio"),
        enhancement=CORPORA + "/enhancement/recordings.csv",
        mixed=directory(CORPORA + "/separation/audio"),
        separation=CORPORA + "/separation/recordings.csv",
    log:
        CACHE + "/logs/mixtures.log",
    params:
        settings=settings(seed=SEED, splits={"seed": SEED, **config["data"]["splits"]}, **config["data"]["mixtures"]),
        code=code_digest("daisy.corpora.mixtures"),
    shell:
        stage(
            "corpora.mixtures",
            "--speech {input.speech} --noise {input.noise} "
            "--enhancement {output.enhancement} --separation {output.separation}",
        )


rule manifests:
    input:
        speech=corpus("speech"),
        commands=corpus("asr"),
        enhancement=corpus("se"),
        separation=corpus("ss"),
    output:
        expand(RUN + "/manifests/speech/{part}.{ending}", part=("train", "dev"), ending=("tsv", "csv")),
        expand(RUN + "/manifests/{task}/{part}.{ending}", task=TASKS, part=PARTS, ending=("tsv", "csv")),
        summary=RUN + "/manifests/summary.csv",
    log:
        RUN + "/logs/manifests.log",
    params:
        settings=settings(seed=SEED, **config["data"]["splits"]),
        code=code_digest("daisy.manifests"),
        out=RUN + "/manifests",
    shell:
        stage(
            "manifests",
            "--speech {input.speech} --commands {input.commands} --enhancement {input.enhancement} "
            "--separation {input.separation} --out {params.out} --summary {output.summary}",
        )
