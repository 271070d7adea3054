//! Tells the linker how to link a Node-API addon.

fn main() {
    napi_build::setup();
}
