// The module is its header; a target needs a file to compile.
#include "PageMemory.h"
