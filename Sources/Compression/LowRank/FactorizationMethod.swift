/// How a layer is factorized.
public enum FactorizationMethod: String, Sendable, CaseIterable, Codable {
    /// Two products around a narrower value: dense layers and convolutions of one pixel.
    case svd
    /// A convolution of k x 1, then one of 1 x k (Jaderberg et al. 2014).
    case spatial
    /// A convolution of one pixel, one of k x k, one of one pixel (Kim et al. 2016).
    case tucker
}

/// Which methods may be used. Dense layers and convolutions of one pixel take SVD whatever is chosen.
public enum FactorizationChoice: String, Sendable, CaseIterable, Codable {
    /// Of each layer what leaves least.
    case auto
    /// Larger kernels stay as they are.
    case svd
    case spatial
    case tucker

    /// The methods that come into question for a layer.
    func methods(for layer: FactorizableLayer) -> [FactorizationMethod] {
        guard !layer.isMatrix else { return [.svd] }
        switch self {
        case .auto: return [.spatial, .tucker]
        case .svd: return []
        case .spatial: return [.spatial]
        case .tucker: return [.tucker]
        }
    }
}

/// The width of what lies between the factors.
public enum FactorRank: Sendable, Hashable, Codable, CustomStringConvertible {
    /// Of SVD and spatial SVD.
    case single(Int)
    /// Of Tucker-2: channels read and computed by the k x k convolution.
    case pair(input: Int, output: Int)

    public var description: String {
        switch self {
        case .single(let rank): "\(rank)"
        case .pair(let input, let output): "\(input)/\(output)"
        }
    }
}

extension FactorizableLayer {
    /// The largest rank that a method can have.
    func largestRank(_ method: FactorizationMethod) -> FactorRank {
        switch method {
        case .svd: return .single(min(inputs, outputs))
        case .spatial:
            return .single(min(inputs * convolution.kernel[0], outputs * convolution.kernel[1]))
        case .tucker:
            return .pair(
                input: min(inputs, outputs * kernelElements), output: min(outputs, inputs * kernelElements))
        }
    }

    /// Elements of the factors and their multiply-accumulates for one sample.
    func cost(_ method: FactorizationMethod, _ rank: FactorRank) -> (parameters: Int, macs: Int) {
        switch (method, rank) {
        case (.svd, .single(let rank)):
            let parameters = rank * (inputs + outputs)
            return (parameters, saturatingProduct([parameters, places]))
        case (.spatial, .single(let rank)):
            let extents = convolution
            let (first, second) = (rank * inputs * extents.kernel[0], rank * outputs * extents.kernel[1])
            let columns = saturatingProduct([extents.batch, extents.output[0], extents.input[1], first])
            return (first + second, saturatingSum([columns, saturatingProduct([second, places])]))
        case (.tucker, .pair(let input, let output)):
            let (before, core, after) = (inputs * input, input * output * kernelElements, output * outputs)
            let read = saturatingProduct([convolution.batch, convolution.input[0], convolution.input[1], before])
            return (before + core + after, saturatingSum([read, saturatingProduct([core + after, places])]))
        default: preconditionFailure("rank \(rank) does not fit \(method.rawValue)")
        }
    }

    /// Whether fewer parameters and fewer multiply-accumulates are left.
    func saves(_ method: FactorizationMethod, _ rank: FactorRank) -> Bool {
        let cost = cost(method, rank)
        return cost.parameters < parameters && cost.macs < macs
    }
}
