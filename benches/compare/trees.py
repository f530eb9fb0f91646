"""What the workloads work on, made up here: nothing comes from a network."""
import io
import json
import shutil
import subprocess
import tarfile
import zipfile


def lay(work, environment, quick):
    """Files by workload; gives the number of files in the tree."""
    files = tree(work, 20 if quick else 100)
    repository(work, environment)
    makefile(work / "build", 8 if quick else 40)
    crates(work / "crates", 2 if quick else 6)
    configure(work / "configure.sh")
    if shutil.which("npm"):
        npm(work / "npm", environment, 10 if quick else 40)
    wheels(work / "wheels", 200 if quick else 1000)
    return files


def git(where, environment, *words):
    names = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-C", str(where)]
    subprocess.run(["git", *names, *words], check=True, env=environment, stdout=subprocess.DEVNULL)


def tree(work, directories):
    for directory in range(directories):
        for top in ("tree", "worktree"):
            place = work / top / str(directory)
            place.mkdir(parents=True)
            for number in range(100):
                (place / f"f{number}").write_text(f"needle {number}\n" * 20)
    return directories * 100


def repository(work, environment):
    """One with the whole tree, and a small one to be cloned."""
    git(work, environment, "init", "-q", "worktree")
    git(work / "worktree", environment, "add", ".")
    git(work / "worktree", environment, "commit", "-qm", "all")
    git(work, environment, "init", "-q", "repository")
    for number in range(500):
        (work / "repository" / f"file{number}").write_text(f"{number}\n" * 50)
    git(work / "repository", environment, "add", ".")
    git(work / "repository", environment, "commit", "-qm", "all")


def makefile(build, objects):
    build.mkdir()
    for number in range(objects):
        lines = ["#include <stdio.h>", "#include <stdlib.h>", "#include <string.h>"]
        lines += [f"int f{number}_{i}(int x) {{ return x * {i} + {number}; }}" for i in range(200)]
        (build / f"u{number}.c").write_text("\n".join(lines) + "\n")
    (build / "Makefile").write_text("all: $(patsubst %.c,%.o,$(wildcard *.c))\nclean:\n\trm -f *.o\n%.o: %.c\n\tcc -O1 -c $< -o $@\n")


def crates(place, count):
    """A program and its dependencies, each a crate of fifteen modules."""
    module = """use std::collections::BTreeMap;
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Item{n} {{ pub name: String, pub weight: u64, pub tags: Vec<String> }}
pub fn index{n}(items: &[Item{n}]) -> BTreeMap<String, Vec<Item{n}>> {{
    let mut found: BTreeMap<String, Vec<Item{n}>> = BTreeMap::new();
    for item in items {{ found.entry(item.name.clone()).or_default().push(item.clone()); }}
    found
}}
pub fn total{n}() -> u64 {{
    let items: Vec<Item{n}> = (0..{n}).map(|w| Item{n} {{ name: format!("i{{w}}"), weight: w, tags: vec![] }}).collect();
    index{n}(&items).values().flatten().map(|item| item.weight).sum()
}}
"""
    names = [f"part{number}" for number in range(count)]
    for name in names:
        source = place / name / "src"
        source.mkdir(parents=True)
        (place / name / "Cargo.toml").write_text(f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n')
        for number in range(15):
            (source / f"m{number}.rs").write_text(module.format(n=number))
        modules = "".join(f"pub mod m{number};\n" for number in range(15))
        sums = " + ".join(f"m{number}::total{number}()" for number in range(15))
        (source / "lib.rs").write_text(f"{modules}pub fn total() -> u64 {{ {sums} }}\n")
    (place / "src").mkdir()
    dependencies = "".join(f'{name} = {{ path = "{name}" }}\n' for name in names)
    (place / "Cargo.toml").write_text(f'[package]\nname = "whole"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\n{dependencies}')
    sums = " + ".join(f"{name}::total()" for name in names)
    (place / "src/main.rs").write_text(f'fn main() {{ println!("total {{}}", {sums}); }}\n')


def configure(path):
    """Like a configure script: 250 checks of four short processes, with their files."""
    path.write_text("""i=0; found=0
while [ $i -lt 250 ]; do
    echo "int have_$i;" > conftest.$$
    sed "s/have/has/" conftest.$$ > conftest2.$$
    if grep -q "has_$i" conftest2.$$; then found=$((found + 1)); fi
    cat conftest2.$$ > /dev/null
    rm -f conftest.$$ conftest2.$$
    i=$((i + 1))
done
echo $found
""")


def npm(place, environment, packages):
    """Packages as archives in a directory, and a lock file that names them."""
    place.mkdir()
    for number in range(packages):
        with tarfile.open(place / f"p{number}.tgz", "w:gz") as archive:
            manifest = json.dumps({"name": f"p{number}", "version": "1.0.0"})
            entries = {"package.json": manifest, **{f"lib/m{i}.js": f"module.exports = {i};\n" for i in range(25)}}
            for name, text in entries.items():
                info = tarfile.TarInfo(f"package/{name}")
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
    dependencies = {f"p{number}": f"file:p{number}.tgz" for number in range(packages)}
    (place / "package.json").write_text(json.dumps({"name": "whole", "version": "1.0.0", "dependencies": dependencies}))
    subprocess.run(["npm", "install", "--package-lock-only", "--offline", "--no-audit", "--no-fund"], cwd=place,
                   env=environment, check=True, stdout=subprocess.DEVNULL)


def wheels(place, modules):
    place.mkdir()
    with zipfile.ZipFile(place / "whole-1.0-py3-none-any.whl", "w") as wheel:
        names = {f"whole/m{number}.py": f"VALUE = {number}\n" for number in range(modules)}
        names["whole-1.0.dist-info/METADATA"] = "Metadata-Version: 2.1\nName: whole\nVersion: 1.0\n"
        names["whole-1.0.dist-info/WHEEL"] = "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        record = "".join(f"{name},,\n" for name in names) + "whole-1.0.dist-info/RECORD,,\n"
        for name, text in {**names, "whole-1.0.dist-info/RECORD": record}.items():
            wheel.writestr(name, text)
