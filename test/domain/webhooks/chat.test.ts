import { describe, expect, it } from 'vitest'
import { chatBody } from '../../../src/domain/webhooks/attempt/chat.ts'

it('a truncated text is never cut in the middle of a character', () => {
  for (const lead of ['', 'x']) {
    const data = { name: lead + '🚀'.repeat(2_000) }
    const { content } = JSON.parse(chatBody('DISCORD', { type: 'project.updated', timestamp: '2026-01-01T00:00:00.000Z', data }))
    expect(content.isWellFormed()).toBe(true)
    expect(content).toMatch(/🚀…$/u)
    expect(content.length).toBeGreaterThanOrEqual(1_999)
    expect(content.length).toBeLessThanOrEqual(2_000)
  }
})

const event = (name: string) => ({ type: 'web_service.created', timestamp: '2026-01-01T00:00:00.000Z', data: { name } })
const textIn = {
  DISCORD: (body: string) => JSON.parse(body).content,
  TEAMS: (body: string) => JSON.parse(body).attachments[0].content.body[0].text,
}

describe.each(['DISCORD', 'TEAMS'] as const)('a text for %s', (format) => {
  const textOf = (name: string): string => textIn[format](chatBody(format, event(name)))

  it('escapes markup in the data, so that it can neither format text nor hide a link', () => {
    expect(textOf('**big** _it_ `code` ~~no~~ ||hid|| [Log in](https://evil.example) <@1> \\')).toBe(
      [
        'web\\_service.created \\(2026-01-01T00:00:00.000Z\\)',
        'name: \\*\\*big\\*\\* \\_it\\_ \\`code\\` \\~\\~no\\~\\~ \\|\\|hid\\|\\| \\[Log in\\]\\(https://evil.example\\) \\<@1\\> \\\\',
      ].join('\n'),
    )
  })

  it('has one line for each value, so that no value can start a heading, list or quote', () => {
    expect(textOf('a\n# b\r\n- c\u2028> d').split('\n')).toHaveLength(2)
  })

  it('is not cut in the middle of an escape', () => {
    for (const lead of ['', 'x']) {
      const text = textOf(lead + '*'.repeat(2_000))
      expect(text.length).toBeLessThanOrEqual(2_000)
      expect(text).toMatch(/[^\\]\\\*…$/)
    }
  })
})

it('a text for Slack is not cut in the middle of an entity', () => {
  for (const lead of ['', 'x', 'xx', 'xxx', 'xxxx'])
    expect(JSON.parse(chatBody('SLACK', event(lead + '<'.repeat(2_000)))).text).toMatch(/&lt;…$/)
})
