//! A request that went down is the other driver's.
#![forbid(unsafe_code)]
use windows_kernel_rs::io::{Below, Read, Request};

pub fn twice(request: Request<Read>, below: &Below) {
    below.forward(request);
    below.forward(request); //~ E0382
}

pub fn completed(request: Request<Read>, below: &Below) {
    below.forward_then(request, |request, result| request.complete(result));
    request.complete(Ok(0)); //~ E0382
}

pub fn borrowed(request: Request<Read>, below: &Below) {
    let mut back = 0;
    below.forward_then(request, |request, result| { //~ E0373
        back += 1;
        request.complete(result);
    });
}
