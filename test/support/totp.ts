/** The secret in the URL for authenticator apps. */
export function secretOf(otpauthUrl: string): Buffer {
  const secret = new URL(otpauthUrl).searchParams.get('secret')!
  const bits = [...secret].map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0')).join('')
  return Buffer.from(bits.match(/.{8}/g)!.map((byte) => Number.parseInt(byte, 2)))
}
