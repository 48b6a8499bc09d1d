-- ArgoCD's own rule for Jobs says all this but one thing: what the end of a failed run means. With it in
-- argocd-cm (`resource.customizations.health.batch_Job`) the message stands at the application.
local hs = { status = "Progressing", message = "the run goes on" }
if obj.spec.suspend then
  hs.status = "Suspended"
  hs.message = "the Job is suspended"
end
for _, condition in ipairs((obj.status or {}).conditions or {}) do
  if condition.status == "True" and condition.type == "Failed" then
    hs.status = "Degraded"
    hs.message = condition.message or "the run did not end well"
    -- podFailurePolicy says the exit code: `... failed with exit code 3 matching FailJob rule ...`
    local code = string.match(hs.message, "exit code (%d+)")
    local meanings = {
      ["2"] = "the list or a setting is wrong",
      ["3"] = "drift: a tag of the target holds other content",
      ["4"] = "a registry or key refused the login",
      ["5"] = "a signature or policy refused an image",
    }
    if code and meanings[code] then
      hs.message = meanings[code] .. " (" .. hs.message .. ")"
    end
    return hs
  end
  if condition.status == "True" and condition.type == "Complete" then
    hs.status = "Healthy"
    hs.message = "the target is as wanted"
  end
end
return hs
