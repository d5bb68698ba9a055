/**
 * XML of requests and responses: elements and text. S3's documents need no more, and a reader for all of XML takes 300 ms for the largest valid
 * request, during which the process serves nobody. This one takes 30 ms, and refuses document types, comments and CDATA sections.
 */
import { S3Error } from './error.ts'

const declaration = '<?xml version="1.0" encoding="UTF-8"?>\n'
const namespace = 'http://s3.amazonaws.com/doc/2006-03-01/'

export type XmlValue = string | number | boolean | undefined | XmlValue[] | { [name: string]: XmlValue }

/**
 * A document with one root. Undefined values are left out, lists become repeated elements, names that begin with `@` attributes, and `#text` the
 * text of an element.
 */
export const toXml = (root: string, content: { [name: string]: XmlValue }): string =>
  `${declaration}${elementOf(root, { '@xmlns': namespace, ...content })}`

export const errorXml = (fields: { Code: string; Message: string; Resource: string; RequestId: string }): string =>
  `${declaration}${elementOf('Error', fields)}`

function elementOf(name: string, value: XmlValue): string {
  if (value === undefined) return ''
  if (Array.isArray(value)) return value.map((item) => elementOf(name, item)).join('')
  if (typeof value !== 'object') return `<${name}>${escapeText(String(value))}</${name}>`
  let [attributes, content] = ['', '']
  for (const [key, item] of Object.entries(value)) {
    if (key.startsWith('@')) attributes += ` ${key.slice(1)}="${escapeText(String(item))}"`
    else content += key === '#text' ? escapeText(String(item)) : elementOf(key, item)
  }
  return `<${name}${attributes}>${content}</${name}>`
}

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' }

/** XML has no notation for control characters, which names of parameters may contain. */
const escapeText = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  text.replace(/[&<>"']/g, (char) => escapes[char]!).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')

/** An element without its namespace and attributes. `text` is that of an element without children. */
export type XmlElement = { name: string; children: XmlElement[]; text: string }

const maxElements = 100_000
const maxDepth = 8
const maxTagChars = 1_024
const maxTextChars = 8_192

const malformed = () => new S3Error('MalformedXML', 'The XML of the request is not well-formed or does not match its schema.')

/** The root element. Throws S3Error MalformedXML if it has another name. */
export function fromXml(text: string, name: string): XmlElement {
  const document: XmlElement = { name: '', children: [], text: '' }
  const open = [document]
  let elements = 0
  for (let at = /^\ufeff?(<\?xml [^<>]{0,200}\?>)?/.exec(text)![0].length; at < text.length; ) {
    const current = open.at(-1)!
    const from = text.indexOf('<', at)
    if ((from < 0 ? text.length : from) - at > maxTextChars) throw malformed()
    current.text += text.slice(at, from < 0 ? undefined : from)
    if (from < 0) break
    const to = text.indexOf('>', from)
    if (to < 0 || to - from > maxTagChars) throw malformed()
    const tag = text.slice(from + 1, to)
    at = to + 1
    if (tag.startsWith('/')) {
      if (open.length < 2 || localName(tag.slice(1)) !== current.name) throw malformed()
      current.text = current.children.length > 0 ? requireBlank(current.text) : unescapeText(current.text)
      open.pop()
    } else {
      const isEmpty = tag.endsWith('/')
      const child: XmlElement = { name: localName(isEmpty ? tag.slice(0, -1) : tag), children: [], text: '' }
      elements++
      if (elements > maxElements || open.length > maxDepth) throw malformed()
      current.children.push(child)
      if (!isEmpty) open.push(child)
    }
  }
  requireBlank(document.text)
  const [root, ...others] = document.children
  if (open.length > 1 || others.length > 0 || root?.name !== name) throw malformed()
  return root
}

function localName(tag: string): string {
  const [, name] = /^(?:[\w.-]+:)?([\w.-]+)(?:\s[^<]*)?$/.exec(tag) ?? []
  if (name === undefined) throw malformed()
  return name
}

function requireBlank(text: string): '' {
  if (text.trim() !== '') throw malformed()
  return ''
}

const named: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function unescapeText(text: string): string {
  if (!text.includes('&')) return text
  return text.replace(/&(?:#x([0-9a-fA-F]{1,6})|#(\d{1,7})|(\w{1,4}));|&/g, (_, hex?: string, decimal?: string, name?: string) => {
    const point = hex ? Number.parseInt(hex, 16) : decimal ? Number(decimal) : null
    if (point !== null && point <= 0x10ffff) return String.fromCodePoint(point)
    const char = name === undefined ? undefined : named[name]
    if (char === undefined) throw malformed()
    return char
  })
}

export const childrenOf = ({ children }: XmlElement, name: string): XmlElement[] => children.filter((child) => child.name === name)

/** The text of the child with this name. Null if there is none. */
export const optionalText = (element: XmlElement, name: string): string | null => childrenOf(element, name)[0]?.text ?? null

/** The same. Throws S3Error MalformedXML if there is none. */
export function textOf(element: XmlElement, name: string): string {
  const text = optionalText(element, name)
  if (text === null || text === '') throw malformed()
  return text
}
