import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { concepts } from '../../src/domain/index.ts'
import { declareIdPrefixes, decodeId, encodeId, type IdType, newId, nilId, parseTypeId } from '../../src/platform/id.ts'

const prefixes: Record<string, string> = Object.assign({}, ...concepts.map(({ idPrefixes }) => idPrefixes))
const types = Object.keys(prefixes) as IdType[]

beforeAll(() => declareIdPrefixes(prefixes))

/** Examples of the TypeID specification, v0.3. */
const vectors = [
  ['00000000000000000000000000', '00000000-0000-0000-0000-000000000000'],
  ['00000000000000000000000001', '00000000-0000-0000-0000-000000000001'],
  ['0000000000000000000000000a', '00000000-0000-0000-0000-00000000000a'],
  ['0000000000000000000000000g', '00000000-0000-0000-0000-000000000010'],
  ['00000000000000000000000010', '00000000-0000-0000-0000-000000000020'],
  ['7zzzzzzzzzzzzzzzzzzzzzzzzz', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
  ['0123456789abcdefghjkmnpqrs', '0110c853-1d09-52d8-d73e-1194e95b5f19'],
  ['01h455vb4pex5vsknk084sn02q', '01890a5d-ac96-774b-bcce-b302099a8057'],
] as const

/** Suffixes that are invalid by the specification, or that a client may send by mistake. */
const malformed = [
  '',
  '1234567890123456789012345',
  '123456789012345678901234567',
  '1234 67890 234567890123456',
  '0123456789ABCDEFGHJKMNPQRS',
  '123456789-123456789-123456',
  'ooooooiiiiiiuuuuuuulllllll',
  'i23456789ol23456789oi23456',
  '123456789-0123456789-0123456',
  '8zzzzzzzzzzzzzzzzzzzzzzzzz',
  '01h455vb4pex5vsknk084sn02q\n',
  '01h455vb4pex5vsknk084sn02é',
]

describe('TypeIDs', () => {
  it.each(vectors)('%s is %s, both ways', (suffix, uuid) => {
    expect(encodeId('Project', uuid)).toBe(`proj_${suffix}`)
    expect(parseTypeId(`proj_${suffix}`)).toEqual({ type: 'Project', uuid })
  })

  it.each(malformed)('%j is not a valid suffix', (suffix) => {
    expect(parseTypeId(`proj_${suffix}`)).toBeNull()
    expect(decodeId('Project', `proj_${suffix}`)).toBe(nilId)
  })

  it.each(['PROJ', '12345', 'pro.j', 'pröj', ' proj', 'proj_', '', 'nobody'])('%j is not a valid prefix', (prefix) => {
    expect(parseTypeId(`${prefix}_01h455vb4pex5vsknk084sn02q`)).toBeNull()
  })

  it('every id is decoded to what was encoded, for every type', () => {
    fc.assert(
      fc.property(fc.uuid({ version: [1, 4, 7] }), fc.constantFrom(...types), (uuid, type) => {
        expect(decodeId(type, encodeId(type, uuid))).toBe(uuid)
        expect(decodeId(type, uuid.toUpperCase())).toBe(uuid)
      }),
    )
  })

  it('sort like their UUIDs', () => {
    fc.assert(
      fc.property(fc.array(fc.uuid(), { minLength: 2, maxLength: 20 }), (uuids) => {
        const texts = uuids.map((uuid) => encodeId('Project', uuid)).sort()
        expect(texts).toEqual(uuids.toSorted().map((uuid) => encodeId('Project', uuid)))
      }),
    )
  })

  it('have a prefix of their own for each type', () => {
    expect(new Set(Object.values(prefixes)).size).toBe(types.length)
    expect(() => declareIdPrefixes({ Project: 'env' } as never)).toThrow('the id prefix env of Project is declared twice')
    expect(() => declareIdPrefixes({ Gadget: 'proj' } as never)).toThrow('the id prefix proj of Gadget is declared twice')
  })

  it('are not made for a type that no concept declares', () => {
    expect(() => encodeId('Gadget' as never, newId())).toThrow('no assembled concept declares the id prefix of Gadget')
  })
})

describe('an id from a caller', () => {
  it.each([undefined, null, 5, {}, [], true, 'x', '%', 'x'.repeat(100_000)])('%j is decoded to the unknown id', (value) => {
    expect(decodeId('Project', value)).toBe(nilId)
  })

  it("is unknown when it is another type's", () => {
    expect(decodeId('Project', encodeId('Environment', newId()))).toBe(nilId)
  })

  it('can be a UUID, only in the notation with hyphens', () => {
    for (const text of [`{${newId()}}`, newId().replaceAll('-', ''), `${newId()} `, `urn:uuid:${newId()}`]) {
      expect(decodeId('Project', text)).toBe(nilId)
    }
  })
})

it('new ids are in order of creation', () => {
  const made = Array.from({ length: 10_000 }, newId)
  expect(made.toSorted()).toEqual(made)
})
