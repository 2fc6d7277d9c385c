"""A CUDA driver library that has no device, for compilers that ask for one.

cuDNN compiles for a GPU that is not there, but only with a driver library to
load. This one knows every function by name and says "no device", except that
it takes a compiled kernel as if it were loaded; their names go to stderr.
"""

import pathlib
import re
import subprocess

LOADS = """
#include <stdio.h>
int cuDriverGetVersion(int *v) { *v = 13000; return 0; }
int cuGetErrorString(int e, const char **s) { *s = "no device"; return 0; }
int cuGetErrorName(int e, const char **s) { *s = "NO_DEVICE"; return 0; }
int cuLibraryLoadData(void **l, const void *c) { *l = (void *)8; return 0; }
int cuLibraryUnload(void *l) { return 0; }
int cuLibraryGetKernel(void **k, void *l, const char *name) {
  fprintf(stderr, "kernel %s\\n", name);
  *k = (void *)16;
  return 0;
}
int cuKernelGetFunction(void **f, void *k) { *f = (void *)24; return 0; }
int cuKernelSetAttribute(int a, int v, void *k, int d) { return 0; }
int cuFuncSetAttribute(void *f, int a, int v) { return 0; }
int cuOccupancyMaxActiveClusters(int *n, void *f, void *c) {
  *n = 16;
  return 0;
}
"""


def build(folder, users):
    """Builds libcuda.so.1 with gcc.

    Arguments
    ---------
    folder : Path
        Where to.
    users : iterable of Path
        Libraries that look its functions up.
    """
    names = set()
    for library in users:
        found = re.findall(rb"\0(cu[A-Z]\w{3,60})(?=\0)", library.read_bytes())
        names.update(name.decode() for name in found)
    names -= set(re.findall(r"^int (\w+)", LOADS, re.MULTILINE))
    refusals = "".join(
        f"int {name}(void) {{ return 100; }}\n" for name in sorted(names)
    )
    source = pathlib.Path(folder) / "driver.c"
    source.write_text(LOADS + refusals)
    library = source.with_name("libcuda.so.1")
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-o", library, source], check=True
    )
    source.with_name("libcuda.so").symlink_to(library.name)
