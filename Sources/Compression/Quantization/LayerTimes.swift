/// What running a model takes, and what each layer's integers save of it.
public struct LayerTimes: Sendable, Equatable {
    /// Milliseconds of one sample with every layer in float32.
    public var float: Double
    /// By layer of `ModelQuantizer.layers`: milliseconds that the model takes less with this layer alone in integers; below 0 where
    /// that takes longer.
    public var saved: [Double]

    public init(float: Double, saved: [Double]) { (self.float, self.saved) = (float, saved) }
}
