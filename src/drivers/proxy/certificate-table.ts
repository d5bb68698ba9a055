/** The certificates of the hosts that the router serves over TLS. */
import { createSecureContext, type SecureContext } from 'node:tls'
import type { HostCertificate } from '../../domain/deploys/instance/ports.ts'

export type CertificateTable = {
  has(host: string): boolean
  change(change: { set: HostCertificate[]; removed: string[] }): void
  /** Undefined for a host without a certificate. Throws for one that OpenSSL does not accept. */
  contextOf(host: string): SecureContext | undefined
}

/** A context takes about 1 ms to create and keeps some 30 kB, so those in use are kept, and certificates that nobody asks for have none. */
const keptContexts = 1_000

export function createCertificateTable(): CertificateTable {
  const certificates = new Map<string, HostCertificate>()
  /** In the order of their last use. */
  const contexts = new Map<string, SecureContext>()

  return {
    has: (host) => certificates.has(host),
    change({ set, removed }) {
      for (const host of removed) certificates.delete(host)
      for (const certificate of set) certificates.set(certificate.host, certificate)
      for (const host of [...removed, ...set.map((certificate) => certificate.host)]) contexts.delete(host)
    },
    contextOf(host) {
      const certificate = certificates.get(host)
      if (certificate === undefined) return undefined
      const context =
        contexts.get(host) ?? createSecureContext({ cert: certificate.chain, key: certificate.privateKey, minVersion: 'TLSv1.2' })
      contexts.delete(host)
      contexts.set(host, context)
      if (contexts.size > keptContexts) contexts.delete(contexts.keys().next().value!)
      return context
    },
  }
}
