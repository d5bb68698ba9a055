-- CreateEnum
CREATE TYPE "certificate_source" AS ENUM ('ACME', 'UPLOADED');

-- CreateEnum
CREATE TYPE "certificate_status" AS ENUM ('PENDING', 'ACTIVE', 'FAILED', 'EXPIRED');

-- CreateTable
CREATE TABLE "certificate" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "custom_domain_id" UUID NOT NULL,
    "source" "certificate_source" NOT NULL,
    "status" "certificate_status" NOT NULL DEFAULT 'PENDING',
    "chain" TEXT,
    "private_key" BYTEA,
    "issuer" TEXT,
    "fingerprint" TEXT,
    "not_before" TIMESTAMPTZ(3),
    "expires_at" TIMESTAMPTZ(3),
    "generation" INTEGER NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(3),
    "last_attempt_at" TIMESTAMPTZ(3),
    "blocked_until" TIMESTAMPTZ(3),
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "error" TEXT,
    "order_url" TEXT,
    "order_key" BYTEA,
    "challenge_token" TEXT,
    "challenge_answer" TEXT,
    "lease_owner" TEXT,
    "lease_epoch" INTEGER NOT NULL DEFAULT 0,
    "lease_ended" INTEGER NOT NULL DEFAULT 0,
    "lease_expires_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "certificate_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "acme_account" (
    "id" UUID NOT NULL,
    "directory_url" TEXT NOT NULL,
    "private_key" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "acme_account_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "certificate_custom_domain_id_key" ON "certificate"("custom_domain_id");

-- CreateIndex
CREATE INDEX "certificate_next_attempt_at_idx" ON "certificate"("next_attempt_at");

-- CreateIndex
CREATE UNIQUE INDEX "certificate_organization_id_custom_domain_id_key" ON "certificate"("organization_id", "custom_domain_id");

-- CreateIndex
CREATE UNIQUE INDEX "acme_account_directory_url_key" ON "acme_account"("directory_url");

-- AddForeignKey
ALTER TABLE "certificate" ADD CONSTRAINT "certificate_organization_id_custom_domain_id_fkey" FOREIGN KEY ("organization_id", "custom_domain_id") REFERENCES "custom_domain"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- certificate_stamp
CREATE TRIGGER certificate_stamp BEFORE UPDATE ON certificate FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- certificate_served_check
ALTER TABLE certificate ADD CONSTRAINT certificate_served_check CHECK ((chain IS NULL) = (private_key IS NULL) AND (chain IS NULL) = (expires_at IS NULL));

-- certificate_active_check
ALTER TABLE certificate ADD CONSTRAINT certificate_active_check CHECK (status <> 'ACTIVE' OR chain IS NOT NULL);

-- certificate_challenge_check
ALTER TABLE certificate ADD CONSTRAINT certificate_challenge_check CHECK ((challenge_token IS NULL) = (challenge_answer IS NULL));
