import CZeroMQ

/// The linked ZeroMQ.
public enum TransportLibrary {
    /// Such as `4.3.4`.
    public static var version: String {
        var (major, minor, patch): (Int32, Int32, Int32) = (0, 0, 0)
        zmq_version(&major, &minor, &patch)
        return "\(major).\(minor).\(patch)"
    }

    /// Whether it was built with CURVE, without which no coordinator or worker starts.
    public static var hasCurve: Bool { zmq_has("curve") == 1 }
}
