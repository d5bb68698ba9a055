/** Host keys: what is shown of them, and in which order they are asked for. */
import { createHash } from 'node:crypto'
import type { HostKey } from '../../domain/apps/server/ports.ts'

/** Null for bytes that are no key. */
export function hostKeyOf(blob: Buffer): HostKey | null {
  const length = blob.length < 4 ? 0 : blob.readUInt32BE(0)
  const type = blob.toString('latin1', 4, 4 + length)
  if (!/^[a-z0-9@.-]{1,64}$/.test(type)) return null
  return { type, fingerprint: `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}` }
}

/** Signature algorithms by type of key, the preferred one first. SHA-1 is not accepted. */
const algorithms = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
} as const

/** With a pinned key, its type comes first: a host that has got a further key must not seem to have changed. */
export function hostKeyAlgorithms(pinned: HostKey | null) {
  const first = Object.entries(algorithms).filter(([type]) => type === pinned?.type)
  const others = Object.entries(algorithms).filter(([type]) => type !== pinned?.type)
  return [...first, ...others].flatMap(([, names]) => [...names])
}
