"""The benchmark data sets of several domains, one entry each."""

from functools import partial

from crossprompt.data.benchmark import Benchmark
from crossprompt.data.domains import Lists, read_domains

_PACS = {"art_painting": 2_048, "cartoon": 2_344, "photo": 1_670, "sketch": 3_929}
_OFFICE_HOME = {"art": 2_427, "clipart": 4_365, "product": 4_439, "real_world": 4_357}
_DOMAINNET = {
    "clipart": 48_129,
    "infograph": 51_605,
    "painting": 72_266,
    "quickdraw": 172_500,
    "real": 172_947,
    "sketch": 69_128,
}
_PACS_LISTS = Lists(
    train="{}_train_kfold.txt",
    test="{}_crossval_kfold.txt",  # _test_kfold names every image, the training ones too
    first_label=1,
    all_shifted=True,
    damaged=("sketch/dog/n02103406_4068-1.png",),
)
_DOMAINNET_LISTS = Lists(train="{}_train.txt", test="{}_test.txt", first_label=0, all_shifted=False)

DOMAIN_SETS = (
    Benchmark(
        name="pacs",
        title="PACS",
        places=(
            ("pacs", "images"),
            ("pacs", "kfold"),
            ("pacs", ""),
            ("PACS", "kfold"),
            ("PACS", ""),
        ),
        example="photo/dog/056_0001.jpg",
        read=partial(read_domains, domains=tuple(_PACS), lists=_PACS_LISTS),
        files=tuple(f"splits/{x}_kfold.txt" for x in ("photo_train", "photo_crossval")),
        domains=tuple(_PACS),
        leeway={"sketch": len(_PACS_LISTS.damaged)},
        classes=7,
        sizes=_PACS,
        terms="not stated",
        url="https://domaingeneralization.github.io",
    ),
    Benchmark(
        name="office_home",
        title="Office-Home",
        places=(
            ("office_home", ""),
            ("OfficeHomeDataset_10072016", ""),
            ("OfficeHome", ""),
        ),
        example="real_world/Alarm_Clock/00001.jpg",
        read=partial(read_domains, domains=tuple(_OFFICE_HOME)),
        domains=tuple(_OFFICE_HOME),
        classes=65,
        sizes=_OFFICE_HOME,
        terms="non-commercial research",
        url="https://www.hemanthdv.org/officeHomeDataset.html",
    ),
    Benchmark(
        name="domainnet",
        title="DomainNet, cleaned",
        places=(("domainnet", ""), ("domain_net", "")),
        example="real/aircraft_carrier/real_001_000001.jpg",
        read=partial(read_domains, domains=tuple(_DOMAINNET), lists=_DOMAINNET_LISTS),
        files=("splits/real_train.txt", "splits/real_test.txt"),
        domains=tuple(_DOMAINNET),
        classes=345,
        sizes=_DOMAINNET,
        terms="fair use for research",
        url="https://ai.bu.edu/M3SDA/",
        archives_gb=17.5,
    ),
)
"""Those of several domains."""
