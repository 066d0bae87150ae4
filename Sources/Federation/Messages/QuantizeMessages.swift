// What tasks for a quantized file say, both ways; every number from the network is checked before it is used.

extension QuantizationScope {
    var message: Pleach_V1_QuantizationScope {
        var message = Pleach_V1_QuantizationScope()
        message.target = target.rawValue
        message.equalizes = equalizes
        message.excluded = excluded
        return message
    }

    init(_ body: Pleach_V1_QuantizationScope) throws(MessageError) {
        guard let target = ExportTarget(rawValue: body.target), target.hasIntegerWeights else {
            throw MessageError("scope.target is none of integer weights that this version knows")
        }
        self.init(target: target, equalizes: body.equalizes, excluded: try names(body.excluded, "scope.excluded"))
    }
}

extension WeightRules {
    fileprivate var message: Pleach_V1_WeightRules {
        var message = Pleach_V1_WeightRules()
        message.bits = UInt32(bits ?? 0)
        message.levels = UInt32(levels.rawValue)
        switch sharing {
        case nil: break
        case .tensor: message.sharing = 1
        case .channel: message.sharing = 2
        case .block(let size):
            message.sharing = 3
            message.block = UInt32(size)
        }
        message.range = UInt32(range?.rawValue ?? 0)
        message.symmetric = isSymmetric
        message.powerOfTwoScales = hasPowerOfTwoScales
        return message
    }

    fileprivate init(_ body: Pleach_V1_WeightRules) throws(MessageError) {
        let levels: LevelsKind = try known(body.levels, "weights.levels")
        guard levels == .uniform || body.symmetric else {
            throw MessageError("weights.levels have no zero points, but weights.symmetric is false")
        }
        self.init(
            bits: body.bits == 0 ? nil : try numberOfBits(body.bits, "weights.bits"), levels: levels,
            sharing: try ScaleSharing(optional: body),
            range: body.range == 0 ? nil : try known(body.range, "weights.range"), isSymmetric: body.symmetric,
            hasPowerOfTwoScales: body.powerOfTwoScales)
    }
}

extension ScaleSharing {
    fileprivate init?(optional body: Pleach_V1_WeightRules) throws(MessageError) {
        switch body.sharing {
        case 0: return nil
        case 1: self = .tensor
        case 2: self = .channel
        case 3:
            guard (1...65_536).contains(body.block) else { throw MessageError("weights.block is out of range") }
            self = .block(Int(body.block))
        default: throw MessageError("weights.sharing holds a value this version does not know")
        }
    }
}

extension SensitivityRequest {
    var message: Pleach_V1_SensitivityWork {
        var message = Pleach_V1_SensitivityWork()
        message.samples = UInt64(samples)
        message.scope = scope.message
        message.weights = weights.message
        message.bits = bits.map(UInt32.init)
        return message
    }

    init(_ body: Pleach_V1_SensitivityWork) throws(MessageError) {
        guard (1...7).contains(body.bits.count) else { throw MessageError("sensitivity.bits is empty or too long") }
        var bits: [Int] = []
        for value in body.bits { bits.append(try numberOfBits(value, "sensitivity.bits")) }
        guard zip(bits, bits.dropFirst()).allSatisfy({ $0 < $1 }) else {
            throw MessageError("sensitivity.bits are not ascending")
        }
        self.init(
            samples: try count(body.samples, "sensitivity.samples"), scope: try QuantizationScope(body.scope),
            weights: try WeightRules(body.weights), bits: bits)
    }
}

private func numberOfBits(_ value: UInt32, _ field: String) throws(MessageError) -> Int {
    guard (2...8).contains(value) else { throw MessageError("\(field) is out of range") }
    return Int(value)
}
