# Renames between the private temporary directory, given as argument, and the working directory.
import errno, os, sys

private = sys.argv[1] + "/moved"


def tried(what, call, *arguments):
    try:
        print(what, call(*arguments))
    except OSError as error:
        print(what, errno.errorcode[error.errno])


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


write(private, "x")
inode = os.stat(private).st_ino
tried("a file", os.rename, private, "there")
print(os.path.exists(private), open("there").read(), os.stat("there").st_nlink, os.stat("there").st_ino == inode)
os.symlink("there", private)
tried("a link", os.rename, private, "l")
print(os.readlink("l"), os.path.lexists(private))
os.mkfifo(private)
tried("a pipe", os.rename, private, "p")
write(private, "y")
tried("over a file", os.rename, private, "there")
print(open("there").read())
os.mkdir("d")
write(private, "z")
tried("over a directory", os.rename, private, "d")
tried("out", os.rename, "there", private)
print(open(private).read())
tried("back", os.replace, private, "there")
tried("nothing", os.rename, private, "nothing")
os.link("there", "second")
tried("onto its other name", os.rename, "there", "second")
print(sorted(os.listdir(".")))
