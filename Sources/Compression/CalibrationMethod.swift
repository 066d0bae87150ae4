import Tensors

/// How the range of an activation is chosen from the fleet's histogram.
public enum CalibrationMethod: Sendable, Equatable {
    case minMax
    /// Cuts (100 − p)/100 of the values: half of it at each end, or all of it at the only end of one-sided values.
    case percentile(Double)
    /// The clip that loses least information (Migacz 2017, "8-bit inference with TensorRT").
    case entropy
    /// The clip with the least expected squared quantization error.
    case meanSquaredError

    public static let names = ["minMax", "percentile", "entropy", "mse"]

    /// The method a plan or command line names.
    public static func named(_ name: String, percentile: Double) throws(CompressionError) -> CalibrationMethod {
        switch name {
        case "minMax": return .minMax
        case "percentile":
            guard (50...100).contains(percentile) else {
                throw .unknownMethod("percentile \(percentile) is out of range: it must lie between 50 and 100")
            }
            return .percentile(percentile)
        case "entropy": return .entropy
        case "mse": return .meanSquaredError
        default:
            throw .unknownMethod(
                "calibration '\(name)' is unknown"
                    + NearestName.hint(for: name, in: names)
                    + "; available: \(names.joined(separator: ", "))")
        }
    }
}
