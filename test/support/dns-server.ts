/** A DNS server for tests, over UDP: answers from a table, and misbehaves by name. */
import { createSocket } from 'node:dgram'
import ipaddr from 'ipaddr.js'

export type DnsServer = { address: string; records: Map<string, DnsAnswer>; queries: string[]; close(): Promise<void> }

/** Records by `<name> <TXT|MX|CNAME|A|AAAA>`, or what the server does instead. A name without an entry does not exist. */
export type DnsAnswer =
  | { txt: string[]; aliases?: string[] }
  | { mx: { priority: number; exchange: string }[] }
  | { cname: string }
  /** Addresses of IPv4 or IPv6, found through these aliases. */
  | { addresses: string[]; aliases?: string[] }
  | 'silence'
  | 'garbage'
  | 'failure'
  | 'nothing'

const types: Record<number, string> = { 1: 'A', 5: 'CNAME', 15: 'MX', 16: 'TXT', 28: 'AAAA' }
const numbers = { A: 1, CNAME: 5, MX: 15, TXT: 16, AAAA: 28 } as const

export async function openDnsServer(): Promise<DnsServer> {
  const socket = createSocket('udp4')
  const records = new Map<string, DnsAnswer>()
  const queries: string[] = []
  socket.on('message', (query, { port, address }) => {
    const { name, end } = readName(query, 12)
    const asked = `${name} ${types[query.readUInt16BE(end)] ?? 'OTHER'}`
    queries.push(asked)
    const answer = records.get(asked)
    if (answer === 'silence') return
    if (answer === 'garbage') return socket.send(Buffer.from('HTTP/1.1 400 Bad Request'), port, address)
    const data = dataOf(answer)
    const header = Buffer.from(query.subarray(0, 12))
    header[2] = 0x81
    header[3] = 0x80 | (answer === undefined ? 3 : answer === 'failure' ? 2 : 0)
    header.writeUInt16BE(data.length, 6)
    header.writeUInt16BE(0, 8)
    header.writeUInt16BE(0, 10)
    const answers = data.map(({ owner = name, type, bytes }) => {
      const fixed = Buffer.alloc(10)
      fixed.writeUInt16BE(type, 0)
      fixed.writeUInt16BE(1, 2)
      fixed.writeUInt16BE(bytes.length, 8)
      return Buffer.concat([nameBytes(owner), fixed, bytes])
    })
    socket.send(Buffer.concat([header, query.subarray(12, end + 4), ...answers]), port, address)
  })
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  return {
    address: `127.0.0.1:${socket.address().port}`,
    records,
    queries,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  }
}

/** `owner`: whose record it is, if not of the name that was asked for. */
function dataOf(answer: DnsAnswer | undefined): { owner?: string; type: number; bytes: Buffer }[] {
  if (answer === undefined || typeof answer === 'string') return []
  if ('cname' in answer) return [{ type: numbers.CNAME, bytes: nameBytes(answer.cname) }]
  if ('txt' in answer) {
    const { txt, aliases = [] } = answer
    return [...chainOf(aliases), ...txt.map((text) => ({ ...ownerOf(aliases, aliases.length), type: numbers.TXT, bytes: textBytes(text) }))]
  }
  if ('addresses' in answer) {
    const { addresses, aliases = [] } = answer
    const found = addresses.map((address) => {
      const bytes = Buffer.from(ipaddr.parse(address).toByteArray())
      return { ...ownerOf(aliases, aliases.length), type: bytes.length === 4 ? numbers.A : numbers.AAAA, bytes }
    })
    return [...chainOf(aliases), ...found]
  }
  return answer.mx.map(({ priority, exchange }) => {
    const bytes = Buffer.concat([Buffer.alloc(2), nameBytes(exchange)])
    bytes.writeUInt16BE(priority, 0)
    return { type: numbers.MX, bytes }
  })
}

const chainOf = (aliases: readonly string[]) =>
  aliases.map((alias, at) => ({ ...ownerOf(aliases, at), type: numbers.CNAME, bytes: nameBytes(alias) }))

const ownerOf = (aliases: readonly string[], at: number) => (at === 0 ? {} : { owner: aliases[at - 1]! })

/** A text of more than 255 bytes has several parts. */
function textBytes(text: string): Buffer {
  const bytes = Buffer.from(text)
  const parts = Array.from({ length: Math.max(1, Math.ceil(bytes.length / 255)) }, (_, n) => bytes.subarray(n * 255, (n + 1) * 255))
  return Buffer.concat(parts.flatMap((part) => [Buffer.from([part.length]), part]))
}

const nameBytes = (name: string) =>
  Buffer.concat([...name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])), Buffer.from([0])])

function readName(message: Buffer, start: number): { name: string; end: number } {
  const labels: string[] = []
  let at = start
  while (message[at] !== 0) {
    labels.push(message.toString('latin1', at + 1, at + 1 + message[at]!))
    at += message[at]! + 1
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 }
}
