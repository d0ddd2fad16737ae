//! Where a run computes: `cpu`, `cuda:0`, or several with commas between.

use tch::{Cuda, Device};

/// The devices of a list such as `cuda:0,cuda:1`.
///
/// # Errors
/// A sentence, where a name is none or there is no such device.
pub fn devices(list: &str) -> Result<Vec<Device>, String> {
    let found = if Cuda::is_available() { usize::try_from(Cuda::device_count()).unwrap_or_default() } else { 0 };
    list.split(',').map(|name| device(name.trim(), found)).collect()
}

fn device(name: &str, found: usize) -> Result<Device, String> {
    let number = match name.split_once(':') {
        _ if name == "cpu" => return Ok(Device::Cpu),
        _ if name == "cuda" => Some(0),
        Some(("cuda", number)) => number.parse().ok(),
        _ => None,
    };
    match number {
        None => Err(format!("--device {name:?}: allowed are cpu, cuda:N, and several with commas between")),
        Some(n) if n < found => Ok(Device::Cuda(n)),
        Some(_) if found == 0 => Err(format!(
            "--device {name}: libtorch finds no CUDA device here (a GPU, its driver and a libtorch with CUDA are needed); train with --device cpu"
        )),
        Some(_) => Err(format!("--device {name}: libtorch finds {found} CUDA devices here, the last is cuda:{}", found - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_and_one_that_is_not_there_is_said_in_one_sentence() {
        assert_eq!(device("cpu", 0), Ok(Device::Cpu));
        assert_eq!((device("cuda", 1), device("cuda:1", 2)), (Ok(Device::Cuda(0)), Ok(Device::Cuda(1))));
        assert!(device("cuda:0", 0).unwrap_err().contains("no CUDA device here"));
        assert!(device("cuda:2", 2).unwrap_err().contains("the last is cuda:1"));
        assert!(device("gpu", 2).unwrap_err().contains("allowed are cpu"));
        assert_eq!(devices("cpu,cpu").unwrap().len(), 2);
    }
}
