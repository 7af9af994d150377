//! The proof that a DPC gets is good until it returns.
#![forbid(unsafe_code)]
use windows_kernel_rs::Result;
use windows_kernel_rs::exec::Dpc;
use windows_kernel_rs::irql::AtDispatch;

pub fn keeps() -> Result<()> {
    let mut kept: Option<AtDispatch<'static>> = None;
    Dpc::try_new(move |proof| kept = Some(proof))?; //~ E0277
    Ok(())
}
