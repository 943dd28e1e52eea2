# Included by CMakeLists.txt.  Kernel files are compiled for one instruction set each and called only
# where kern_init found it; on other processors the same files are empty.
