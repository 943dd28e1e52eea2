# Included by CMakeLists.txt.  Kernel files are compiled for one instruction set each and called only
# where kern_init found it; on other processors the same files are empty.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set(KERN_AVX2 -O3 -fno-tree-vectorize -fno-tree-slp-vectorize -mavx2 -mfma -mf16c)
    # These files are large once unrolled. Under sanitizers they are compiled with less effort and
    # without undefined-behaviour checks, which the scalar twins have; fuzz targets do not need them.
    if(CONFAB_FUZZ)
        list(APPEND KERN_AVX2 -O1 -fno-sanitize=all -fno-sanitize-coverage=trace-pc-guard,inline-8bit-counters,trace-cmp,pc-table)
    elseif(CONFAB_SAN)
        list(APPEND KERN_AVX2 -O1 -fno-sanitize=undefined)
    endif()
    # prefetchw: all these processors have it
    set(KERN_AVX512 ${KERN_AVX2} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mprfchw -mprefer-vector-width=512)
    file(GLOB KERN_FILES src/kern/avx*.c src/kern/amx*.c)
    foreach(source IN LISTS KERN_FILES)
        get_filename_component(name ${source} NAME_WE)
        if(name MATCHES "^avx2")
            set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${KERN_AVX2}")
        elseif(name MATCHES "^avxvnni")
            set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
                "${KERN_AVX2};-mavxvnni")
        elseif(name MATCHES "^avx512vnni")
            set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
                "${KERN_AVX512};-mavx512vnni")
        elseif(name MATCHES "^amx")
            set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
                "${KERN_AVX512};-mavx512vnni;-mamx-tile;-mamx-int8")
        elseif(name MATCHES "^avx512")
            set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${KERN_AVX512}")
        endif()
    endforeach()
    # The AMX level where there is only AVX-512 VNNI: its tiles in plain C.
    add_executable(kern_amx_test src/kern/kern_test.c src/kern/amx32_mm.c src/kern/amx256_mm.c src/kern/cpu.c
        tests/harness/main.c)
    target_include_directories(kern_amx_test PRIVATE tests/harness)
    target_compile_definitions(kern_amx_test PRIVATE KERN_AMX_TWIN)
    target_link_libraries(kern_amx_test room_kern PkgConfig::CMOCKA)
    add_test(NAME kern_amx COMMAND kern_amx_test WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    file(GLOB KERN_FILES src/kern/neon*.c)
    set_source_files_properties(${KERN_FILES} PROPERTIES COMPILE_OPTIONS
        "-O3;-fno-tree-vectorize;-fno-tree-slp-vectorize;-march=armv8.2-a+dotprod")
endif()
