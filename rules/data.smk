"""Corpora: recordings become FLAC files and tables, and tables become the manifests of every task."""

DATA = config["data"]
SPLITS = {"seed": SEED, **{key: DATA["splits"][key] for key in ("dev", "test", "max_per_speaker")}}


def corpora():
    """Folder of the corpus that every task uses: one of the user's own, or else an embedded one."""
    own = DATA["corpora"]
    embedded = stored("embedded", "daisy.corpora.embedded", settings={"packages": DATA["packages"]})
    noise = stored(
        "noise",
        "daisy.corpora.noise",
        settings={"seed": SEED, "sid_min_recordings": DATA["splits"]["sid_min_recordings"], **DATA["noise"]},
        speech=embedded,
    )
    mixing = {"seed": SEED, "splits": SPLITS, "seconds": DATA["mixtures"]["seconds"]}
    made = {
        "speech": embedded,
        "asr": stored("commands", "daisy.corpora.commands", settings={"seed": SEED, **DATA["commands"]}),
        "se": stored(
            "enhancement",
            "daisy.corpora.enhancement",
            settings=mixing | DATA["mixtures"]["enhancement"],
            speech=embedded,
            noise=noise,
        ),
        "ss": stored(
            "separation",
            "daisy.corpora.separation",
            settings=mixing | DATA["mixtures"]["separation"],
            speech=embedded,
        ),
        "noise": noise,
    }
    for name, folder in own.items():
        if not os.path.exists(f"{resource(folder)}/recordings.csv"):
            raise WorkflowError(f"data.corpora.{name}: {folder} holds no recordings.csv. Correct the path.")
    return made | {name: resource(folder) for name, folder in own.items()}


CORPORA = corpora()


def corpus(name):
    """The table of the corpus whose audio a manifest refers to: what reads audio needs it there."""
    return CORPORA["speech" if name == "sid" else name] + "/recordings.csv"


def source(name):
    """A corpus as the store knows it: an embedded one by its folder's name, one of the user's own by its table."""
    table = corpus(name)
    folder = os.path.dirname(table)
    return folder if folder.startswith(f"{STORE}/") else table


def manifests(task):
    """Folder of a task's manifests; of `speech` for the branches and their targets."""
    limits = {} if task == "speech" or task in ("se", "ss") else {"max_seconds": DATA["splits"]["max_seconds"]}
    if task == "sid":
        limits["min_recordings"] = DATA["splits"]["sid_min_recordings"]
    if task == "asr":
        limits["transcribed"] = True
    settings = {"task": task, "splits": SPLITS, **limits}
    return stored(f"manifests-{task}", "daisy.manifests", settings=settings, corpus=source(task))


MANIFESTS = {task: manifests(task) for task in ("speech", *config["tasks"])}


rule embedded_speech:
    output:
        audio=directory(STORE + "/embedded-{key}/audio"),
        table=STORE + "/embedded-{key}/recordings.csv",
        dropped=STORE + "/embedded-{key}/dropped.csv",
    log:
        STORE + "/logs/embedded-{key}.log",
    benchmark:
        STORE + "/benchmarks/embedded_speech-{key}.tsv"
    threads: 2
    params:
        settings=stored_settings,
        code=stored_code,
        cache=CACHE + "/debian",
    shell:
        stage(
            "corpora.embedded",
            "--cache {params.cache} --audio {output.audio} --table {output.table} --dropped {output.dropped}",
        )


rule command_speech:
    output:
        audio=directory(STORE + "/commands-{key}/audio"),
        table=STORE + "/commands-{key}/recordings.csv",
    log:
        STORE + "/logs/commands-{key}.log",
    benchmark:
        STORE + "/benchmarks/command_speech-{key}.tsv"
    threads: 2
    params:
        settings=stored_settings,
        code=stored_code,
        cache=CACHE + "/debian",
    shell:
        stage("corpora.commands", "--cache {params.cache} --audio {output.audio} --table {output.table}")


rule noise_recordings:
    input:
        of("speech", "/recordings.csv"),
    output:
        audio=directory(STORE + "/noise-{key}/audio"),
        table=STORE + "/noise-{key}/recordings.csv",
    log:
        STORE + "/logs/noise-{key}.log",
    benchmark:
        STORE + "/benchmarks/noise_recordings-{key}.tsv"
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage("corpora.noise", "--speech {input} --audio {output.audio} --table {output.table}")


rule enhancement_mixtures:
    input:
        speech=of("speech", "/recordings.csv"),
        noise=of("noise", "/recordings.csv"),
    output:
        audio=directory(STORE + "/enhancement-{key}/audio"),
        table=STORE + "/enhancement-{key}/recordings.csv",
    log:
        STORE + "/logs/enhancement-{key}.log",
    benchmark:
        STORE + "/benchmarks/enhancement_mixtures-{key}.tsv"
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage("corpora.enhancement", "--speech {input.speech} --noise {input.noise} --out {output.table}")


rule separation_mixtures:
    input:
        of("speech", "/recordings.csv"),
    output:
        audio=directory(STORE + "/separation-{key}/audio"),
        table=STORE + "/separation-{key}/recordings.csv",
    log:
        STORE + "/logs/separation-{key}.log",
    benchmark:
        STORE + "/benchmarks/separation_mixtures-{key}.tsv"
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage("corpora.separation", "--speech {input} --out {output.table}")


rule manifests:
    input:
        corpus=lambda wildcards: ancient(corpus(json.loads(store[wildcards.key].settings)["task"])),
    output:
        expand(STORE + "/manifests-{{name}}-{{key}}/{part}.{ending}", part=PARTS, ending=("tsv", "csv")),
        summary=STORE + "/manifests-{name}-{key}/summary.csv",
    log:
        STORE + "/logs/manifests-{name}-{key}.log",
    benchmark:
        STORE + "/benchmarks/manifests-{name}-{key}.tsv"
    params:
        settings=stored_settings,
        code=stored_code,
        out=STORE + "/manifests-{name}-{key}",
    shell:
        stage("manifests", "--corpus {input.corpus} --out {params.out} --summary {output.summary}")
