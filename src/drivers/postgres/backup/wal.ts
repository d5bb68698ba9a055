/** Positions in the write-ahead log (LSNs), and the segment files that contain them. */

export type WalFormat = { timeline: number; segmentBytes: number }

/** The byte position of an LSN such as `16/B374D848`. */
export function parseLsn(text: string): bigint {
  const parts = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(text)
  if (!parts) throw new Error(`${text} is not an LSN`)
  return (BigInt(`0x${parts[1]}`) << 32n) | BigInt(`0x${parts[2]}`)
}

/** Names of the segment files that contain the bytes from one position up to, and not including, another. */
export function segmentsOf(format: WalFormat, from: string, until: string): string[] {
  const size = BigInt(format.segmentBytes)
  const first = parseLsn(from) / size
  const last = (parseLsn(until) - 1n) / size
  const names: string[] = []
  for (let number = first; number <= last; number++) names.push(segmentName(format, number))
  return names
}

/** The segment file that contains the byte at a position. */
export const segmentAt = (format: WalFormat, position: string): string =>
  segmentName(format, parseLsn(position) / BigInt(format.segmentBytes))

/** The segment file that follows another one on the same timeline. */
export const segmentAfter = (name: string, segmentBytes: number): string => {
  const perFile = 2n ** 32n / BigInt(segmentBytes)
  const number = BigInt(`0x${name.slice(8, 16)}`) * perFile + BigInt(`0x${name.slice(16, 24)}`)
  return segmentName({ timeline: Number(`0x${name.slice(0, 8)}`), segmentBytes }, number + 1n)
}

export const isSegment = (name: string): boolean => /^[0-9A-F]{24}$/.test(name)

function segmentName({ timeline, segmentBytes }: WalFormat, number: bigint): string {
  const perFile = 2n ** 32n / BigInt(segmentBytes)
  return [BigInt(timeline), number / perFile, number % perFile].map((part) => part.toString(16).toUpperCase().padStart(8, '0')).join('')
}
