-- CreateTable
CREATE TABLE "custom_domain" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "web_service_id" UUID NOT NULL,
    "domain" TEXT NOT NULL,
    "token" TEXT NOT NULL,
    "dns_status" "dns_check_status" NOT NULL DEFAULT 'PENDING',
    "is_primary" BOOLEAN NOT NULL DEFAULT false,
    "checks" JSON NOT NULL DEFAULT '{}',
    "check_error" TEXT,
    "checked_at" TIMESTAMPTZ(3),
    "next_check_at" TIMESTAMPTZ(3),
    "failing_since" TIMESTAMPTZ(3),
    "absences" INTEGER NOT NULL DEFAULT 0,
    "verified_at" TIMESTAMPTZ(3),
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "custom_domain_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "custom_domain_web_service_id_id_idx" ON "custom_domain"("web_service_id", "id");

-- CreateIndex
CREATE INDEX "custom_domain_next_check_at_idx" ON "custom_domain"("next_check_at");

-- CreateIndex
CREATE UNIQUE INDEX "custom_domain_organization_id_domain_key" ON "custom_domain"("organization_id", "domain");

-- CreateIndex
CREATE UNIQUE INDEX "custom_domain_organization_id_id_key" ON "custom_domain"("organization_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "custom_domain_verified_key" ON "custom_domain"("domain") WHERE (verified_at is not null);

-- CreateIndex
CREATE UNIQUE INDEX "custom_domain_primary_key" ON "custom_domain"("web_service_id") WHERE (is_primary);

-- AddForeignKey
ALTER TABLE "custom_domain" ADD CONSTRAINT "custom_domain_organization_id_project_id_web_service_id_fkey" FOREIGN KEY ("organization_id", "project_id", "web_service_id") REFERENCES "web_service"("organization_id", "project_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- custom_domain_stamp
CREATE TRIGGER custom_domain_stamp BEFORE UPDATE ON custom_domain FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- custom_domain_primary_check
ALTER TABLE custom_domain ADD CONSTRAINT custom_domain_primary_check CHECK (NOT is_primary OR verified_at IS NOT NULL);
