// What the loader asks for before it opens the module (gpu/cuda/loader.cc); the emulated runtime
// needs no driver.
