import Tensors
import Testing

@testable import Engine

/// Devices by name, and the refusal where the linked libtorch has none.
struct EngineDeviceTests {
    @Test func namesOfDevices() throws {
        #expect(try EngineDevice(parsing: "cpu") == .cpu)
        #expect(try EngineDevice(parsing: "cuda") == .cuda(0))
        #expect(try EngineDevice(parsing: "cuda:3") == .cuda(3))
        for device in [EngineDevice.cpu, .cuda(2)] { #expect(try EngineDevice(parsing: "\(device)") == device) }
        for text in [
            "", "gpu", "cuda:", "cuda:-1", "cuda:+1", "cuda:x", "cuda:128", "cuda:99999999999999999999", "CPU",
        ] {
            #expect(throws: EngineError.badSetting("device '\(text)' is not known: give cpu, cuda or cuda:N")) {
                try EngineDevice(parsing: text)
            }
        }
    }

    /// A GPU is not there or, where tests run on a machine with GPUs, not 100 of them.
    @Test func aDeviceThatIsNotThereIsRefusedAndTheOldOneKept() throws {
        do {
            try EngineRuntime.setDevice(.cuda(100))
            Issue.record("device 100 was taken")
        } catch {
            let text = "\(error)"
            #expect(text.contains("libtorch") && !text.contains("\n"))
            #expect(text.contains("has no CUDA: link one that has through LIBTORCH") || text.contains("CUDA devices"))
        }
        try EngineRuntime.setDevice(.cpu)
        let tensor = Tensor([1, 2] as [Float], shape: [2])
        #expect(try TorchTensor(tensor).tensor() == tensor)
    }
}
