"""What the rules ask for: folders of the store, inputs and settings, stage by stage; no rule is here."""

# Corpora and manifests


def published(name):
    """Folder of a published corpus, read where its makers' archives were unpacked."""
    return stored(name, module_of(name), settings=settings_of(name, DATA["published"]))


def downloads(wildcards):
    """What says that a published corpus's archives are there; nothing unless the config asks for downloads."""
    if not DATA["published"]["download"]:
        return []
    needed = archives_of(wildcards.published, DATA["published"])
    return [cache_path(f"downloads/{corpus}/{archive}.json") for corpus, archive in needed]


@shown()
def corpora():
    """Folder of the corpus that every task uses: a published one, one of the user's own, or else an embedded one."""
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
        if folder not in PUBLISHED and not os.path.exists(f"{resource(folder)}/recordings.csv"):
            known = ", ".join(PUBLISHED)
            raise DaisyError(
                f"data.corpora.{name}: {folder} holds no recordings.csv",
                fix=f"Correct the path, or name a published corpus: {known}",
            )
    given = {name: published(folder) if folder in PUBLISHED else resource(folder) for name, folder in own.items()}
    found = made | given
    return {task: found[TASKS[task].corpus] for task in config["tasks"] if TASKS[task].corpus} | found


def left_out():
    """The tables of recordings that the corpora in use leave out."""
    used = [CORPORA[name] for name in ("speech", *config["tasks"])]
    listing = [folder for folder in used if store.name(folder) in ("embedded", *PUBLISHED)]
    return [f"{folder}/dropped.csv" for folder in dict.fromkeys(listing)]


def corpus(name):
    """The table of the corpus whose audio a manifest refers to: what reads audio needs it there."""
    return f"{CORPORA[name]}/recordings.csv"


def source(name):
    """A corpus as the store knows it: an embedded one by its folder's name, one of the user's own by its table."""
    table = corpus(name)
    folder = os.path.dirname(table)
    return folder if folder.startswith(f"{STORE}/") else table


def manifests(task):
    """Folder of a task's manifests; of `speech` for the branches and their targets."""
    chosen = {"task": task, "splits": SPLITS}
    if task in TASKS:
        entry = TASKS[task]
        # Mixtures have the length that they were made with.
        chosen |= {} if entry.waves else {"max_seconds": DATA["splits"]["max_seconds"]}
        chosen |= {"min_recordings": DATA["splits"]["sid_min_recordings"]} if entry.known_speakers else {}
        chosen |= {"transcribed": True} if entry.transcribed else {}
    return stored(f"manifests-{task}", "daisy.manifests", settings=chosen, corpus=source(task))


# Targets


def labelled(kind, layer, classes, **reads):
    """Folder of labels, made side by side and then joined."""
    chosen = {"kind": kind, "layer": layer, "batch_seconds": BATCH_SECONDS, "compute": COMPUTE}
    labels = stored(f"labels-{SHARDS}", "daisy.label", settings=chosen, **reads)
    return stored(
        "targets", "daisy.targets", settings={"classes": classes}, labels=labels, manifest=MANIFESTS["speech"]
    )


def targets(kind, layer, clusters):
    """Folder of the labels that branches are trained on; the stages before it are registered too."""
    drawn = {key: config["targets"][key] for key in ("utterances", "share")}
    reads = {"manifest": MANIFESTS["speech"], "hubert": CHECKPOINT}
    if kind == "head":
        return labelled(kind, 0, 0, **reads)
    shards = stored(
        f"shards-{SHARDS}",
        "daisy.dump",
        settings={"layer": layer, "seed": SEED, "batch_seconds": BATCH_SECONDS, "compute": COMPUTE, **drawn},
        **reads,
    )
    centroids = stored(
        "kmeans", "daisy.kmeans", settings={"clusters": clusters, "seed": SEED, "layer": layer}, shards=shards
    )
    return labelled(kind, layer, clusters, centroids=centroids, **reads)


# Branches


def branches(labels):
    """Folder of the model with branches that were trained on `labels`."""
    return stored(
        "branches",
        "daisy.train_branches",
        settings={"seed": SEED, "compute": COMPUTE, **config["branches"]},
        manifest=MANIFESTS["speech"],
        labels=labels,
        hubert=CHECKPOINT,
    )


# Disk: what a job writes, in MB, for the plan and for schedulers


def audio_of(task, part):
    """The recordings of a split, by its manifest or by what is expected."""
    named = DATA["corpora"].get(task) or DATA["corpora"].get(TASKS[task].corpus if task in TASKS else "", "")
    return disk.audio_of(Path(f"{MANIFESTS[task]}/summary.csv"), named, part)


def noisy_audio(task):
    """The recordings of the noise study: each clean, and with every noise at every ratio."""
    every = audio_of(task, "test")
    count = min(NOISE["recordings"], every.recordings)
    versions = 1 + len(NOISE["kinds"]) * len(NOISE["snr_db"])
    return disk.Audio(count * versions, every.seconds * count / max(1, every.recordings) * versions)


def states_mb(wildcards):
    """States of a task's split, or of its noisy recordings."""
    chosen = json.loads(store[wildcards.key].settings)
    audio = audio_of(wildcards.task, wildcards.part) if hasattr(wildcards, "part") else noisy_audio(wildcards.task)
    return disk.megabytes(disk.states(audio, SHAPE, chosen["storage"], pooled=chosen["pooled"], keep=chosen["keep"]))


def drawn_mb(wildcards):
    """One shard of the frames that k-means sees."""
    share = [config["targets"][key] for key in ("utterances", "share", "shards")]
    return disk.megabytes(disk.drawn_frames(audio_of("speech", "train"), SHAPE, *share))


def labels_mb(shards):
    """Labels of the speech that branches are trained on, or of one shard of it."""
    return lambda wildcards: disk.megabytes(disk.labels(audio_of("speech", "train")) / shards)


def made_mb(wildcards):
    """The audio that is made of a published corpus; most are read where they lie."""
    signals = {"libri2mix": 3, "voicebank-demand": 2}.get(wildcards.published, 0)
    parts = disk.EXPECTED[wildcards.published]
    return disk.megabytes(sum(disk.flac(audio, signals) for audio in parts.values()))


# Features and thresholds


def features(task, part, model):
    """Folder of the states and entropies of a part, by the model with branches in the folder `model`."""
    return stored(
        f"features-{task}-{part}",
        "daisy.extract",
        settings={
            "pooled": TASKS[task].pooled,
            # Evaluation compares these with runs of the model itself; training does not mind rounding.
            "storage": "float32" if part == "test" else "float16",
            "batch_seconds": BATCH_SECONDS,
            "keep": part in config["tasks"][task]["keep_states"],
            "compute": EXACT,
        },
        manifest=MANIFESTS[task],
        model=model,
    )


def known_states(wildcards):
    """States do not depend on branches: those of other branches on the same HuBERT take over the run's own."""
    own = FEATURES[wildcards.task, wildcards.part]
    kept = wildcards.part in config["tasks"][wildcards.task]["keep_states"]
    return f"{own}/states.npy" if kept and not own.endswith(wildcards.key) else []


def streaming(task, *parts, model=None):
    """The model with branches that makes the states of some splits, unless all of these are kept."""
    kept = set(parts) <= set(config["tasks"][task]["keep_states"])
    return [] if kept else f"{model or BRANCHES}/daisy.pt"


def calibration_settings(task, rho):
    thresholds = config["thresholds"]
    absolute = {task: thresholds["absolute"][task]} if task in thresholds["absolute"] else {}
    return settings(task=task, rule=thresholds["rule"], rho=rho, absolute=absolute)


# Downstream models


def downstream_settings(name, method, seed):
    task = config["tasks"][name]
    # A floor concerns exits by entropy alone.
    floor = {"floor": config["thresholds"]["floor"]} if method.by_entropy else {}
    return settings(
        task=name,
        method=method,
        fusion=config["downstream"]["fusion"],
        clip=config["downstream"]["clip"],
        save_every=config["downstream"]["save_every"],
        seed=seed,
        compute=COMPUTE,
        **floor,
        **{key: value for key, value in task.items() if key not in ("q", "keep_states")},
    )


def calibration_of(wildcards):
    method = METHODS[wildcards.method]
    return f"{RUN}/calibration/{wildcards.task}/{rho_name(method.rho)}.json" if method.by_entropy else []


# The bundle


def calibrated(pattern):
    """A file per task and rho, in one order; the histograms are the first seed's."""
    return expand(results(pattern), task=sorted(config["tasks"]), rho=RHOS, seed=SEEDS[0]) if DAISY else []


# Evaluation


def evaluation_settings(task, method, seed):
    strategies = dict.fromkeys(config["evaluation"]["strategies"], config["tasks"][task]["q"])
    return settings(
        method=method,
        strategies=strategies if method.by_entropy else {},
        draws=config["evaluation"]["bootstrap_draws"],
        timed=config["evaluation"]["timed_recordings"],
        rounds=config["evaluation"]["timing_rounds"],
        seed=SEED,
        training_seed=seed,
        compute=EXACT,
    )


# The noise study


def noise_methods(task):
    """Every method has a word error rate; for the exits of the other tasks DAISY is enough."""
    return METHODS if task == WER_TASK else DAISY


def noisy(task):
    """Folder of the task's noisy test recordings."""
    drawn = {"seed": SEED, **{key: NOISE[key] for key in ("recordings", "kinds", "snr_db")}}
    return stored(f"noisy-{task}", "daisy.noisy", settings=drawn, manifest=MANIFESTS[task], noise=source("noise"))


def noise_features(task):
    """Folder of their states and entropies."""
    return stored(
        f"noise_features-{task}",
        "daisy.extract",
        settings={
            # Of the other tasks the entropies alone are used: the states are kept as small as can be.
            "pooled": task != WER_TASK or TASKS[task].pooled,
            "storage": "float16",
            "batch_seconds": BATCH_SECONDS,
            "keep": "test" in config["tasks"][task]["keep_states"],
            "compute": EXACT,
        },
        manifest=NOISY[task],
        model=BRANCHES,
    )


def noise_settings(wildcards):
    method = METHODS[wildcards.method]
    q = config["tasks"][wildcards.task]["q"]
    return settings(
        method=method,
        strategies={name: q for name in config["evaluation"]["strategies"]} if method.by_entropy else {},
        floor=config["thresholds"]["floor"],
        floors=NOISE["floors"] if method.by_entropy else [],
        draws=config["evaluation"]["bootstrap_draws"],
        seed=SEED,
        compute=EXACT,
    )


def noise_model(wildcards):
    return (
        f"{RUN}/downstream/{{task}}/seed{SEEDS[0]}/{{method}}/model.safetensors" if wildcards.task == WER_TASK else []
    )


# Links into the store


def behind(targets):
    """What `targets` were made from: labels, and the features and centroids behind them, if they were clustered."""
    labels = store.at(targets).inputs["labels"]
    centroids = store.at(labels).inputs.get("centroids")
    found = {"centroids": centroids, "shards": store.at(centroids).inputs["shards"]} if centroids else {}
    return {"labels": labels, **found}


# The report


def example_settings(wildcards):
    systems = [{"name": "Full model", "method": Method("full")}]
    if DAISY:
        strategy = config["evaluation"]["strategies"][0]
        name = f"DAISY ρ {max(RHOS.values()):g}, {strategy}"
        q = config["tasks"][wildcards.task]["q"]
        method = Method("daisy", max(RHOS.values()))
        systems.append({"name": name, "method": method, "strategy": strategy, "q": q})
    return settings(seed=SEED, systems=systems, **config["report"]["examples"])


# The ablation of targets


def target_variants():
    """Each layer with the run's number of clusters, each number with the run's layer, and the head."""
    own = config["targets"]
    pairs = [(layer, own["clusters"]) for layer in ABLATED["layers"]]
    pairs += [(own["layer"], clusters) for clusters in ABLATED["clusters"]]
    variants = {
        f"layer{layer}-c{clusters}": {"kind": "kmeans", "layer": layer, "clusters": clusters}
        for layer, clusters in dict.fromkeys(pairs)
    }
    return variants | ({"head": {"kind": "head"}} if ABLATED["head"] else {})


def variant_features(part, file):
    """Input function: a file of a variant's features."""
    return lambda wildcards: f"{VARIANT_FEATURES[wildcards.variant, wildcards.task, part]}/{file}"


# Pre-training


def previous_checkpoint(wildcards):
    """An iteration clusters features of the one before; the first needs no model."""
    return f"{PRETRAIN}/1/checkpoints/checkpoint_last.pt" if wildcards.iteration == "2" else []
