import CTorch

/// Settings of libtorch in this process.
public enum EngineRuntime {
    /// Threads for one operator; also for OpenBLAS. A fixed number makes results repeatable.
    public static func setThreads(_ count: Int) { _ = ct_set_threads(Int32(max(1, count))) }

    /// Where tensors are made and operators run from now on, in every thread: call it before anything is loaded.
    /// - Throws: `EngineError.badSetting` where the linked libtorch has no such device.
    public static func setDevice(_ device: EngineDevice) throws(EngineError) {
        let status =
            switch device {
            case .cpu: ct_set_device(-1)
            case .cuda(let index): ct_set_device(Int32(clamping: index))
            }
        if status != 0 { throw .badSetting(TorchTensor.lastError) }
    }

    /// Seeds the calling thread's generator (dropout): call it on the thread that trains.
    public static func seed(_ seed: UInt64) { _ = ct_seed(seed) }

    /// For a process that trains: what is freed is kept for the next step.
    public static func keepFreedMemory() { ct_keep_freed_memory() }

    /// For a process that runs no training steps: large blocks go back to the system as soon as they are freed.
    public static func returnFreedMemory() { ct_return_freed_memory() }

    /// Gives back to the system what is free now.
    public static func trimMemory() { ct_trim_memory() }

    /// The linked libtorch, for logs.
    public static var description: String { String(cString: ct_description()) }
}
